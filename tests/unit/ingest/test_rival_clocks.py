"""A stamp and a Julian date whole hours apart: which one is UTC, by the sky; and no time where nothing tells."""

from pathlib import Path
from typing import Any

import pytest

from services.header_reading import Reading
from services.ingest.headers import FrameFacts
from services.ingest.raw_folder import read_folder
from tests.unit.ingest.made_frames import write

NIGHT = 2459945.10023148  # 2022-12-31 14:24:20 UTC: 22:24 in China
XINGLONG = {"SITELONG": 117.577, "SITELAT": 40.396}
TOLOLO = {"SITELONG": -70.8, "SITELAT": -30.17}


def stamp(jd: float) -> str:
    from astropy.time import Time

    return str(Time(jd, format="jd").isot)


def frame(folder: Path, stamp_h: float, julian_h: float, jd: float = NIGHT, **cards: Any) -> FrameFacts:
    """A frame of a time, its stamp and its Julian date by clocks so many hours ahead of UTC, as a folder tells it."""
    shown = {"IMAGETYP": "light", "OBJECT": "star", "EXPTIME": 60.0, "INSTRUME": "cam"}
    clocks = {"DATE_OBS": stamp(jd + stamp_h / 24), "JD": round(jd + julian_h / 24, 8)}
    write(folder / "a.fits", **shown, **clocks, **cards)
    [found] = read_folder(folder).frames
    return found


@pytest.mark.parametrize(("stamp_h", "julian_h", "used"), [(8, 0, "JD"), (0, 8, "DATE-OBS")])
def test_the_longitude_tells_which_clock_is_utc(stamp_h: float, julian_h: float, used: str, tmp_path: Path) -> None:
    found = frame(tmp_path, stamp_h, julian_h, **XINGLONG)
    assert found.start_utc == pytest.approx(NIGHT, abs=1e-7)
    assert found.jd_utc == pytest.approx(NIGHT + 30 / 86400, abs=1e-7)
    [note] = found.notes
    assert ("JD is taken for local time, +8 h from UTC, by the sky" if used == "DATE-OBS" else "by JD") in note


@pytest.mark.parametrize(("stamp_h", "julian_h"), [(-3, 0), (0, -3)])
def test_in_chile_in_summer(stamp_h: float, julian_h: float, tmp_path: Path) -> None:
    found = frame(tmp_path, stamp_h, julian_h, jd=NIGHT + 0.5, **TOLOLO)
    assert found.start_utc == pytest.approx(NIGHT + 0.5, abs=1e-7)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_hour_is_told_by_what_the_mount_wrote(sign: int, tmp_path: Path) -> None:
    """La Palma in summer: by the longitude alone the clock may be an hour ahead of UTC, or behind."""
    place = {"SITELONG": -17.9, "SITELAT": 28.76}
    summer = 2459771.50023148  # 2022-07-11 0 h UTC
    clocks = (1.0, 0.0) if sign > 0 else (0.0, 1.0)
    open_ = frame(tmp_path, *clocks, jd=summer, **place)
    assert open_.start_utc is None
    assert open_.day is not None
    [note] = [one for one in open_.notes if "hours" in one or "h apart" in one]
    assert "nothing tells which is UTC: no time is used; set clock_offset_h" in note
    (tmp_path / "a.fits").unlink()
    told = frame(tmp_path, *clocks, jd=summer, **place, LST="18:04:10")  # 289.1 + 0 h - 17.9 degrees
    assert told.start_utc == pytest.approx(summer, abs=1e-7)


def test_without_a_place_no_time_is_used_until_the_station_is_known(tmp_path: Path) -> None:
    found = frame(tmp_path, 0, 8)
    assert (found.start_utc, found.jd_utc, found.time_source) == (None, None, None)
    station = {"here": {"longitude_deg": 117.577, "latitude_deg": 40.396}}
    [known] = read_folder(tmp_path, reading=Reading.model_validate({"station": station})).frames
    assert known.start_utc == pytest.approx(NIGHT, abs=1e-7)
    [told] = read_folder(tmp_path, reading=Reading(clock_offset_h=0.0)).frames
    assert told.start_utc == pytest.approx(NIGHT, abs=1e-7)
