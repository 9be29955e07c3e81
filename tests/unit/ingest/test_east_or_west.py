"""Which side of Greenwich a telescope stands on, by what its headers say and by the sky: sites and nights are real."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_sun
from astropy.io import fits
from astropy.time import Time, TimeDelta

from pipeline.sky import place_check
from services.header_reading import Reading
from services.ingest.raw_folder import read_folder
from tests.unit.ingest.made_frames import write

# East longitude, latitude, first exposure (UTC), hours observed, target: each is night there, and the target is up.
WESTFORD = (-71.485, 42.61, "2024-11-08T00:30:00", 7.0, (31.0428, 46.6878))  # Massachusetts
KITT_PEAK = (-111.60, 31.96, "2021-06-12T04:30:00", 6.0, (254.0, 20.0))
XINGLONG = (117.58, 40.39, "2022-01-15T11:30:00", 8.0, (100.0, 30.0))
SIDING_SPRING = (149.07, -31.27, "2023-07-01T09:30:00", 9.0, (270.0, -30.0))
SITES = {"Westford": WESTFORD, "Kitt Peak": KITT_PEAK, "Xinglong": XINGLONG, "Siding Spring": SIDING_SPRING}
FRAMES = 6
MST = -7 * 3600  # s from UTC
EVIDENCE = ("none", "sidereal", "hour angle", "altitude", "airmass", "clock", "zone")


def sexagesimal(degrees: float, sign: str = "+") -> str:
    whole, rest = divmod(abs(degrees) * 3600.0, 3600.0)
    minutes, seconds = divmod(rest, 60.0)
    return f"{'-' if degrees < 0 else sign}{whole:02.0f} {minutes:02.0f} {seconds:05.2f}"


def night(
    folder: Path, place: tuple[Any, ...], longitude: object, evidence: str = "none", pointing: bool = True, **cards: Any
) -> Path:
    """Frames of a real night, with a longitude as some program writes it and what else the header may have."""
    east, latitude, first, hours, (ra, dec) = place
    times = Time(first) + TimeDelta(np.linspace(0.0, hours, FRAMES) / 24.0, format="jd")
    here, star = EarthLocation.from_geodetic(east, latitude), SkyCoord(ra, dec, unit="deg")
    altitude = star.transform_to(AltAz(obstime=times, location=here)).alt.deg
    sidereal = times.sidereal_time("apparent", east).deg
    assert get_sun(times).transform_to(AltAz(obstime=times, location=here)).alt.deg.max() < -6.0
    assert altitude.min() > 15.0
    for number, time in enumerate(times):
        zone = round(east / 15.0)
        more: dict[str, Any] = {
            "none": {},
            "sidereal": {"LST": sexagesimal(sidereal[number] / 15.0, "")},
            "hour angle": {"HA": ((sidereal[number] - ra + 180.0) % 360.0 - 180.0) / 15.0},
            "altitude": {"CENTALT": altitude[number]},
            "airmass": {"AIRMASS": 1.0 / np.sin(np.radians(altitude[number]))},
            "clock": {
                "LOCALTIM": (time + TimeDelta(zone / 24.0, format="jd")).strftime("%m/%d/%Y %I:%M:%S %p") + " STD"
            },
            "zone": {},
        }[evidence]
        written = (
            (time + TimeDelta(zone / 24.0, format="jd")).isot + f"{zone:+03d}:00" if evidence == "zone" else time.isot
        )
        where = {"RA": sexagesimal(ra / 15.0, ""), "DEC": sexagesimal(dec)} if pointing else {}
        write(
            folder / f"a{number}.fits", IMAGETYP="Light Frame", OBJECT="star", EXPTIME=60.0, DATE_OBS=written,
            SITELAT=latitude, SITELONG=longitude, **where, **more, **cards,
        )  # fmt: skip
    return folder


def found(folder: Path) -> tuple[float | None, list[str]]:
    frames = read_folder(folder).frames
    assert len(frames) == FRAMES
    [longitude] = {frame.site_longitude for frame in frames}
    [notes] = {tuple(note for note in frame.notes if "SITELONG" in note or "place" in note) for frame in frames}
    return longitude, list(notes)


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("site", SITES)
def test_telescopes_of_the_usual_sign_stay_where_they_are(site: str, evidence: str, tmp_path: Path) -> None:
    east = SITES[site][0]
    assert found(night(tmp_path, SITES[site], east, evidence)) == (pytest.approx(east), [])


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("site", ["Westford", "Kitt Peak"])
def test_a_positive_longitude_in_america_is_west(site: str, evidence: str, tmp_path: Path) -> None:
    """Without any other evidence it was day at the other sign."""
    east = SITES[site][0]
    longitude, notes = found(night(tmp_path, SITES[site], sexagesimal(-east), evidence))
    assert longitude == pytest.approx(east, abs=1e-4)
    [note] = notes
    assert note.startswith("SITELONG is positive to the west, by ")
    assert {"sidereal": "the sidereal time", "clock": "the clock's offset", "zone": "the clock's offset"}.get(
        evidence, "the Sun"
    ) in note


@pytest.mark.parametrize("site", SITES)
def test_a_program_that_counts_to_the_west(site: str, tmp_path: Path) -> None:
    """TheSkyX writes +71 29 06.00 in Massachusetts and -149 04 12.00 in Australia."""
    east = SITES[site][0]
    longitude, notes = found(night(tmp_path, SITES[site], sexagesimal(-east), SWCREATE="TheSkyX Version 10.5.0"))
    assert longitude == pytest.approx(east, abs=1e-4)
    assert "the program that wrote it" in notes[0]


@pytest.mark.parametrize(("written", "east"), [(288.515, -71.485), ("71 29 06 W", -71.485), (-71.485, -71.485)])
def test_all_round_the_earth_and_letters(written: object, east: float, tmp_path: Path) -> None:
    assert found(night(tmp_path, WESTFORD, written)) == (pytest.approx(east), [])


def test_headers_that_contradict_each_other_say_so(tmp_path: Path) -> None:
    """The comment says east, but the sidereal time and the Sun west: these are measured."""
    folder = night(tmp_path, WESTFORD, (71.485, "[deg] East positive"), "sidereal")
    longitude, [by, against] = found(folder)
    assert longitude == pytest.approx(-71.485)
    assert "by the sidereal time, the Sun" in by
    assert "against its comment" in against


def test_a_sidereal_time_that_stands_still_is_no_evidence(tmp_path: Path) -> None:
    assert found(night(tmp_path, XINGLONG, 117.58, LST="05 00 00", AIRMASS=1.0)) == (pytest.approx(117.58), [])


@pytest.mark.parametrize("written", ["71 29 06 E", "100 00 00 E"])
def test_a_place_where_it_was_day_is_not_believed(written: str, tmp_path: Path) -> None:
    """A letter leaves no doubt about the sign: place, time or pointing is wrong, and no airmass is made up."""
    east, [note] = found(night(tmp_path, WESTFORD, written))
    assert east is None
    assert "airmass stays unknown: the Sun was up" in note


def test_a_whole_night_in_local_time_says_by_which_clock_it_was_night(tmp_path: Path) -> None:
    east, _, first, hours, _ = XINGLONG
    folder = night(tmp_path, XINGLONG, "117 34 48 E")
    for number, path in enumerate(sorted(folder.glob("*.fits"))):
        with fits.open(path, mode="update") as hdus:
            shift = TimeDelta((8.0 + hours * number / (FRAMES - 1)) / 24.0, format="jd")
            hdus[0].header["DATE-OBS"] = (Time(first) + shift).isot
    [note] = found(folder)[1]
    assert "(by the longitude it is about +8): if it is, set clock_offset_h" in note
    frames = read_folder(folder, reading=Reading(clock_offset_h=8.0)).frames
    assert [frame.site_longitude for frame in frames] == [pytest.approx(east, abs=1e-3)] * FRAMES
    assert frames[0].start_utc == pytest.approx(Time(first).jd, abs=1e-6)
    assert not any(frame.notes for frame in frames)


def test_without_a_time_or_a_place_nothing_is_judged(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", IMAGETYP="Light Frame", OBJECT="star", EXPTIME=60.0, SITELAT=42.6, SITELONG=71.5)
    write(tmp_path / "b.fits", IMAGETYP="Light Frame", OBJECT="star", EXPTIME=60.0, DATE_OBS="2024-11-08T03:00:00")
    assert [frame.site_longitude for frame in read_folder(tmp_path).frames] == [71.5, None]


@pytest.mark.parametrize(
    ("value", "comment", "offset_s", "east"),
    [
        (110.88, "Local longitude", MST, -110.88),
        (-110.88, "Local longitude", MST, -110.88),
        (110.88, "Local longitude", None, 110.88),
        (116.4, "", 8 * 3600, 116.4),
        (110.88, "[deg] West longitude", None, -110.88),
        (110.88, "positive west, negative east", None, -110.88),
        (-110.88, "East positive, west negative", None, -110.88),
        (-110.88, "[deg] west is negative", None, -110.88),
        (249.12, "", None, -110.88),
        ("110 52 48 W", "", None, -110.88),
        ("E 110:52:48", "", MST, 110.88),
        ("-110 52 48", "", None, -110.88),
    ],
)
@pytest.mark.parametrize("kind", ["Light Frame", "Bias Frame"])
def test_without_the_sky_a_comment_and_the_clock_tell(
    value: object, comment: str, offset_s: int | None, east: float, kind: str, tmp_path: Path
) -> None:
    """No latitude, and no target: whether it was night is not known."""
    zone = "" if offset_s is None else f"{offset_s // 3600:+03d}:00"
    cards = {"EXPTIME": 60.0, "DATE_OBS": f"2024-11-08T03:00:00{zone}"}
    write(tmp_path / "a.fits", IMAGETYP=kind, LONGITUD=(value, comment), **cards)
    [frame] = read_folder(tmp_path).frames
    assert frame.site_longitude == pytest.approx(east, abs=1e-9)
    flipped = isinstance(value, float) and value == 110.88 and east < 0
    assert any("positive to the west" in note for note in frame.notes) == flipped


def test_the_formulae_are_good_to_a_tenth_of_a_degree() -> None:
    east, latitude = -71.485, 42.61
    times = Time(np.linspace(2455000.0, 2460600.0, 40), format="jd")
    here = EarthLocation.from_geodetic(east, latitude)
    sun = get_sun(times)
    right = sun.transform_to(AltAz(obstime=times, location=here)).alt.deg
    np.testing.assert_allclose(
        place_check.altitude_deg(times.jd, *place_check.sun(times.jd), east, latitude), right, atol=0.1
    )
