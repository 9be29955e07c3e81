"""Facts of whole frames."""

import re
from pathlib import Path

import pytest
from astropy.time import Time

from services.errors import DataError
from services.ingest.east_or_west import judged
from services.ingest.frame_kinds import NO_KIND
from services.ingest.headers import read_frame
from tests.unit.ingest.made_frames import pixels, write


def test_a_frame_of_a_remote_telescope_with_local_time(tmp_path: Path) -> None:
    path = write(
        tmp_path / "HATP-32171220013343.FITS",
        DATE_OBS=("2017-12-19T18:33:43.317-0700", "Start date & time, LT"),
        UT_OBS=("2017-12-20T01:33:43.317-0000", "Universal Time at start of obs."),
        MJD_OBS=58107.065,
        OBJECT="HATP-32 ",
        EXPTIME=60.0,
        RA=(31.312099, "02:05.25 Right Ascension"),
        DEC=46.769087,
        INSTRUME="Main",
        FILTER="Clear",
        CAMTEMP=(271.0, "CCD Temperature in Kelvin, =-1 if no data"),
        TELESCOP="Cecilia",
        LATITUDE=31.68,
        LONGITUD=(110.88, "Local longitude"),
    )
    [frame] = judged([read_frame(path)])
    assert (frame.kind, frame.target, frame.filter, frame.instrument) == ("light", "HATP-32", "Clear", "Main")
    assert (frame.telescope, frame.exposure, frame.binning, frame.shape) == ("Cecilia", 60.0, "1x1", (20, 30))
    middle = Time("2017-12-20T01:34:13.317", scale="utc").jd
    assert frame.jd_utc == pytest.approx(middle, abs=1e-9, rel=0)
    assert frame.time_source == "UT-OBS"
    assert (frame.ra_deg, frame.dec_deg) == (31.312099, 46.769087)
    assert (frame.site_latitude, frame.site_elevation) == (31.68, None)
    assert frame.site_longitude == pytest.approx(-110.88)
    assert frame.temperature == pytest.approx(-2.15)
    assert (frame.gain, frame.gain_source, frame.read_noise, frame.saturation) == (None, None, None, None)
    [note] = frame.notes
    assert note.startswith("LONGITUD is positive to the west, by the clock's offset from UTC")


def test_a_frame_without_headers(tmp_path: Path) -> None:
    frame = read_frame(write(tmp_path / "HAT-P-32_V_001.fit"))
    assert (frame.kind, frame.target, frame.filter, frame.instrument) == ("light", "HAT-P-32", "V", "unknown")
    assert (frame.start_utc, frame.jd_utc, frame.time_source, frame.exposure) == (None, None, None, 0.0)
    assert frame.notes == (NO_KIND, "no exposure time in the header: taken as 0 s", "no time in the header")


@pytest.mark.parametrize("kind", ["Bias Frame", "Flat Field"])
def test_calibration_frames_need_no_date(tmp_path: Path, kind: str) -> None:
    frame = read_frame(write(tmp_path / "a.fits", IMAGETYP=kind, EXPTIME=1.0))
    assert (frame.jd_utc, frame.notes) == (None, ())
    frame = read_frame(write(tmp_path / "b.fits", IMAGETYP=kind, EXPTIME=1.0, DATE_OBS="garbage"))
    assert frame.jd_utc is None
    assert frame.exposure == 1.0
    assert "'garbage' is not a date" in frame.notes[0]


@pytest.mark.parametrize("card", [{"DATE_OBS": "garbage"}, {"EXPTIME": "garbage"}, {"EXPTIME": -3.0}])
def test_a_light_frame_with_garbage_is_refused_by_name(tmp_path: Path, card: dict[str, object]) -> None:
    path = write(tmp_path / "a.fits", **{"DATE_OBS": "2017-12-20T01:33:43", "EXPTIME": 60.0, **card})
    with pytest.raises(DataError, match=rf"file '{re.escape(str(path))}': .*correct the header"):
        read_frame(path)


def test_products_are_no_frames(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="was made by Tianyu"):
        read_frame(write(tmp_path / "a.fits", TIANYUPI="1700000000000000001"))


@pytest.mark.parametrize(
    ("cards", "gain", "source"),
    [
        ({"GAIN": 1.5}, 1.5, "GAIN"),
        ({"GAIN": 2}, 2.0, "GAIN"),
        ({"GAIN": 100, "EGAIN": 0.75}, 0.75, "EGAIN"),
        ({"GAIN": 1.5, "EGAIN": 0.0}, 1.5, "GAIN"),
        ({"GAIN": 100}, None, None),
        ({"GAIN": 56}, None, None),
        ({"GAIN": (56, "[e-/ADU]")}, 56.0, "GAIN"),
        ({"GAIN": 0}, None, None),
        ({"GAIN": -1.0}, None, None),
        ({"GAIN": "1.5"}, 1.5, "GAIN"),
        ({"GAIN": "high"}, None, None),
        ({"GAIN": "1.5 e-/ADU"}, 1.5, "GAIN"),
        ({"GAIN": "12 e-/ADU"}, 12.0, "GAIN"),
        ({"GAIN": "1,5 e-/ADU"}, 1.5, "GAIN"),
        ({"GAIN": "1.5 ADU/e-"}, None, None),
        ({"GAIN": 5, "INSTRUME": "ZWO ASI294MM Pro"}, None, None),
        ({"GAIN": 1, "INSTRUME": "QHY600M"}, None, None),
        ({"GAIN": 5, "EGAIN": 0.9, "INSTRUME": "QHY600M"}, 0.9, "EGAIN"),
        ({"GAIN": (1, "[e-/ADU]"), "INSTRUME": "QHY600M"}, 1.0, "GAIN"),
        ({"GAIN": 0.8, "INSTRUME": "QHY600M"}, 0.8, "GAIN"),
        ({}, None, None),
    ],
)
def test_gain_is_electrons_per_adu_or_nothing(
    tmp_path: Path, cards: dict[str, object], gain: float | None, source: str | None
) -> None:
    frame = read_frame(write(tmp_path / "a.fits", **cards))
    assert (frame.gain, frame.gain_source) == (gain, source)


@pytest.mark.parametrize(
    ("cards", "binning"),
    [
        ({"XBINNING": 2, "YBINNING": 1}, "2x1"),
        ({"CCDSUM": "2 2"}, "2x2"),
        ({"BINNING": "3x3"}, "3x3"),
        ({"BINNING": 2}, "2x2"),
        ({"XBINNING": 0, "YBINNING": 0}, "1x1"),
        ({"CCDSUM": "what"}, "1x1"),
    ],
)
def test_binning(tmp_path: Path, cards: dict[str, object], binning: str) -> None:
    assert read_frame(write(tmp_path / "a.fits", **cards)).binning == binning


@pytest.mark.parametrize(("written", "electrons"), [("7.5 e-", 7.5), ("7,5 electrons", 7.5), ("7.5 ADU", None)])
def test_read_noise_is_in_electrons(tmp_path: Path, written: str, electrons: float | None) -> None:
    assert read_frame(write(tmp_path / "a.fits", RDNOISE=written)).read_noise == electrons


def test_detector_facts(tmp_path: Path) -> None:
    cards = {"RDNOISE": 0.0, "READNOIS": 7.5, "SATURATE": 60000, "DATAMAX": 65535, "CCD_TEMP": -20.0, "CAMERA": "c1"}
    frame = read_frame(write(tmp_path / "a.fits", **cards))
    assert (frame.read_noise, frame.saturation, frame.temperature, frame.instrument) == (7.5, 60000.0, -20.0, "c1")


def test_a_card_that_breaks_the_standard_spoils_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", pixels(), GAIN=1.5, OBJECT="HAT-P-32", EXPTIME=60.0)
    broken = path.read_bytes().replace(b"GAIN    =                  1.5", b"GAIN    =                 1..5")
    path.write_bytes(broken)
    frame = read_frame(path)
    assert (frame.gain, frame.target, frame.exposure) == (None, "HAT-P-32", 60.0)


@pytest.mark.parametrize(
    ("cards", "metres"),
    [
        ({"APTDIA": (203.2, "mm")}, 0.2032),
        ({"APTDIA": 0.0, "TELDIAM": 1.26}, 1.26),
        ({"APERTURE": 600}, 0.6),
        ({"APERTURE": (2.8, "lens")}, None),
        ({"APERTURE": (2.16, "telescope aperture [m]")}, 2.16),
        ({"DIAMETER": "80 mm"}, 0.08),
        ({"APTDIA": "f/5"}, None),
        ({}, None),
    ],
)
def test_diameter_of_the_telescope(tmp_path: Path, cards: dict[str, object], metres: float | None) -> None:
    frame = read_frame(write(tmp_path / "a.fits", IMAGETYP="bias", RDNOISE=7.5, **cards))
    assert frame.diameter_m == (None if metres is None else pytest.approx(metres))
    assert (frame.read_noise, frame.read_noise_source) == (7.5, "RDNOISE")


@pytest.mark.parametrize(
    ("cards", "noise", "note"),
    [
        ({"RDNOISE": (3.0, "[ADU] rms"), "EGAIN": 2.0}, 6.0, None),
        ({"RDNOISE": "3.0 adu", "EGAIN": 2.0}, 6.0, None),
        ({"RDNOISE": (3.0, "[ADU] rms")}, None, "RDNOISE is in ADU, and no card tells the gain: it is left out"),
        ({"RDNOISE": (3.0, "electrons, at 2 e-/ADU"), "EGAIN": 2.0}, 3.0, None),
        ({"RDNOISE": "3 e-"}, 3.0, None),
    ],
)
def test_read_noise_in_adu(tmp_path: Path, cards: dict[str, object], noise: float | None, note: str | None) -> None:
    frame = read_frame(write(tmp_path / "a.fits", IMAGETYP="Bias Frame", EXPTIME=0.0, **cards))
    assert (frame.read_noise, frame.notes) == (noise, () if note is None else (note,))
