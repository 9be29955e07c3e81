"""Pointings and sites in degrees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.coordinates import latitude_and_elevation, pointing, pointing_notes, sexagesimal
from tests.unit.ingest.made_frames import header


@given(st.integers(0, 1), st.integers(0, 359), st.integers(0, 59), st.integers(0, 5999))
def test_sexagesimal_round_trip(minus: int, degrees: int, minutes: int, centiseconds: int) -> None:
    sign, seconds = "-" * minus, centiseconds / 100
    expected = (-1) ** minus * (degrees + minutes / 60 + seconds / 3600)
    for text in (
        f"{sign}{degrees:02d}:{minutes:02d}:{seconds:05.2f}",
        f"{sign}{degrees} {minutes} {seconds}",
        f"{sign}{degrees}d{minutes}m{seconds:.2f}s",
        f"{sign}{degrees:02d}:{minutes + seconds / 60:013.10f}",
    ):
        assert sexagesimal(text) == pytest.approx(expected, abs=1e-9)


@given(st.text())
def test_any_text_is_an_angle_or_none(text: str) -> None:
    value = sexagesimal(text)
    assert value is None or abs(value) <= 1000


@pytest.mark.parametrize(
    ("cards", "ra", "dec"),
    [
        ({"RA": 31.312, "DEC": 46.769}, 31.312, 46.769),
        ({"RA": "02:04:10", "DEC": "+46:41:16"}, 31.0417, 46.6878),
        ({"RA": "02 04 10", "DEC": "-00 30 00"}, 31.0417, -0.5),
        ({"RA": "31.312", "DEC": "46.769"}, 31.312, 46.769),
        ({"RA": (2.0874667, "hours"), "DEC": 46.769}, 31.312, 46.769),
        ({"RA": ("031:18:43.2", "degrees"), "DEC": 46.769}, 31.312, 46.769),
        ({"OBJCTRA": "02 04 10", "OBJCTDEC": "46 41 16"}, 31.0417, 46.6878),
        ({"RA": "unset", "DEC": "unset", "OBJCTRA": "02 04 10", "OBJCTDEC": "46 41 16"}, 31.0417, 46.6878),
        ({"RA": 0.0, "DEC": 0.0, "OBJCTRA": "02 04 10", "OBJCTDEC": "46 41 16"}, 31.0417, 46.6878),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 31.312, "CRVAL2": 46.769}, 31.312, 46.769),
        ({"CTYPE1": "PIXEL", "CTYPE2": "PIXEL", "CRVAL1": 31.312, "CRVAL2": 46.769}, None, None),
        ({"RA": 31.312, "DEC": 97.0}, None, None),
        ({"RA": -10.0, "DEC": 5.0}, 350.0, 5.0),
    ],
)
def test_pointings(cards: dict[str, object], ra: float | None, dec: float | None) -> None:
    found_ra, found_dec = pointing(header(**cards))
    assert found_ra == pytest.approx(ra, abs=1e-4)
    assert found_dec == pytest.approx(dec, abs=1e-4)


SOLVED = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": -2e-4, "CD2_2": 2e-4, "NAXIS1": 1024, "NAXIS2": 1024}
MOUNT = {"RA": 185.0, "DEC": -20.0}


@pytest.mark.parametrize(
    ("cards", "place", "named"),
    [
        # A mount beside a WCS with a scale, which was solved; beside one without, whose frame nobody solved.
        (
            MOUNT | SOLVED | {"CRVAL1": 5.0, "CRVAL2": 35.0},
            (5.0, 35.0),
            "RA, DEC (185, -20) and CRVAL1, CRVAL2 (5, +35)",
        ),
        (
            MOUNT | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 5.0, "CRVAL2": 35.0},
            (185.0, -20.0),
            "CRVAL1, CRVAL2 (5, +35) and RA, DEC (185, -20)",
        ),
        # Two programs that took one wrong place over.
        (
            MOUNT | {"OBJCTRA": "12 20 00", "OBJCTDEC": "-20 00 00"} | SOLVED | {"CRVAL1": 5.0, "CRVAL2": 35.0},
            (5.0, 35.0),
            "OBJCTRA, OBJCTDEC (185, -20) and CRVAL1, CRVAL2 (5, +35)",
        ),
        # A mount that is a quarter of a degree off, and a WCS whose reference pixel is a corner of a wide field.
        ({"RA": 5.2, "DEC": 35.1} | SOLVED | {"CRVAL1": 5.0, "CRVAL2": 35.0}, (5.2, 35.1), None),
        (
            {"RA": 5.0, "DEC": 35.0} | SOLVED | {"CD1_1": -2e-2, "CD2_2": 2e-2, "CRVAL1": 12.0, "CRVAL2": 27.0},
            (5.0, 35.0),
            None,
        ),
        # Hours without a word, told by another pair; and degrees below 24.
        ({"RA": 2.0694, "DEC": 46.69, "OBJCTRA": "02 04 10", "OBJCTDEC": "46 41 16"}, (31.041, 46.69), None),
        ({"RA": 12.5, "DEC": 46.69, "OBJCTRA": "00 50 00", "OBJCTDEC": "46 41 16"}, (12.5, 46.69), None),
    ],
)
def test_places_that_disagree_are_said_and_judged(
    cards: dict[str, object], place: tuple[float, float], named: str | None
) -> None:
    made = header(**{key: value for key, value in cards.items() if "_" not in key})
    for key, value in cards.items():
        made[key] = value
    assert pointing(made) == (pytest.approx(place[0], abs=1e-3), pytest.approx(place[1], abs=1e-3))
    notes = pointing_notes(made)
    assert any(named in note for note in notes) if named else not notes


@pytest.mark.parametrize(
    ("cards", "latitude", "elevation"),
    [
        ({"SITELAT": "-31 40 48", "SITELONG": "unknown", "ELEVATIO": "2606 m"}, -31.68, 2606.0),
        ({"LATITUDE": "31:40:48 S", "OBSGEO_H": -9999.0}, -31.68, None),
        ({"LATITUDE": "N 31 40 48", "SITEELEV": 12.5}, 31.68, 12.5),
        ({"LATITUDE": 131.68}, None, None),
    ],
)
def test_latitude_and_elevation(cards: dict[str, object], latitude: float | None, elevation: float | None) -> None:
    found_latitude, found_elevation = latitude_and_elevation(header(**cards))
    assert found_latitude == pytest.approx(latitude)
    assert found_elevation == elevation
