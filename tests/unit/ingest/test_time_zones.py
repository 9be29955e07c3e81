"""Local stamps by named time zones: summer time, the hour that comes twice, and zones that nobody tells."""

from pathlib import Path

import pytest
from astropy.time import Time
from pydantic import ValidationError

from services.header_reading import Reading
from services.ingest.frame_times import frame_times
from services.ingest.raw_folder import read_folder
from services.time_zones import zone_named
from tests.unit.ingest.made_frames import header, write

LIGHT = {"IMAGETYP": "light", "OBJECT": "star", "EXPTIME": 60.0, "INSTRUME": "cam"}


def utc(stamp: str) -> object:
    return pytest.approx(float(Time(stamp, scale="utc").jd), abs=1e-8)


@pytest.mark.parametrize(
    ("local", "zone", "expected"),
    [
        ("2023-01-15T22:00:00", "America/Santiago", "2023-01-16T01:00:00"),  # summer there: UTC-3
        ("2023-07-15T22:00:00", "america/santiago", "2023-07-16T02:00:00"),
        ("2023-03-26T03:30:00", "Europe/Rome", "2023-03-26T01:30:00"),  # the night on which summer time begins
        ("2023-03-26T01:30:00", "Europe/Rome", "2023-03-26T00:30:00"),
        ("2023-07-15T22:00:00", "UTC-4", "2023-07-16T02:00:00"),
        ("2023-07-15T22:00:00", "GMT+05:30", "2023-07-15T16:30:00"),
    ],
)
def test_a_stamp_that_is_local_by_timesys_and_a_named_zone(local: str, zone: str, expected: str) -> None:
    times = frame_times(header(DATE_OBS=local, TIMESYS="LOCAL", TIMEZONE=zone), 60.0)
    assert times.start == utc(expected)
    assert times.notes == (f"DATE-OBS is local time of {zone}",)
    said = frame_times(header(DATE_OBS=(local, "local time at start"), TIMEZONE=zone), 60.0)
    assert said.start == utc(expected)


def test_a_zone_beside_a_stamp_that_does_not_say_local_shifts_nothing() -> None:
    assert frame_times(header(DATE_OBS="2023-07-15T22:00:00", TIMEZONE="UTC-4"), 60.0).start == utc(
        "2023-07-15T22:00:00"
    )


@pytest.mark.parametrize("zone", [{}, {"TIMEZONE": "EST"}, {"TIMEZONE": -4}, {"TIMEZONE": "../../etc/passwd"}])
def test_local_time_of_a_zone_that_nobody_tells_is_no_time(zone: dict[str, object]) -> None:
    """Abbreviations mean several zones, and the sign of a number is not known."""
    times = frame_times(header(DATE_OBS="2023-07-15T22:00:00", TIMESYS="LOCAL", **zone), 60.0)
    assert times.start is None
    assert str(times.day) == "2023-07-15"
    assert "nobody of which zone: no time is used; set time_zone" in times.notes[0]
    proven = frame_times(header(DATE_OBS="2023-07-15T22:00:00", TIMESYS="LOCAL", UT="02:00:00", **zone), 60.0)
    assert proven.start == utc("2023-07-16T02:00:00")


def test_a_station_has_a_zone_and_the_header_that_says_utc_is_believed(tmp_path: Path) -> None:
    reading = Reading.model_validate({"station": {"here": {"telescope": "*", "time_zone": "America/Santiago"}}})
    write(tmp_path / "a.fits", DATE_OBS="2023-01-15T22:00:00", **LIGHT)
    write(tmp_path / "b.fits", DATE_OBS=("2023-01-16T01:05:00", "UTC"), **LIGHT)
    starts = [frame.start_utc for frame in read_folder(tmp_path, reading=reading).frames]
    assert starts == [utc("2023-01-16T01:00:00"), utc("2023-01-16T01:05:00")]


def test_the_hour_that_comes_twice_is_told_apart_by_the_numbers_of_files(tmp_path: Path) -> None:
    reading = Reading(time_zone="Europe/Rome")
    local = ("01:50", "02:10", "02:50", "02:05", "02:55", "03:05")  # 29 October 2023, back at 3 h
    right = ("23:50", "00:10", "00:50", "01:05", "01:55", "02:05")
    for number, clock in enumerate(local):
        write(tmp_path / f"a{number}.fits", DATE_OBS=f"2023-10-29T{clock}:00", **LIGHT)
    frames = read_folder(tmp_path, reading=reading).frames
    days = ["28", *["29"] * 5]
    expected = [utc(f"2023-10-{day}T{clock}:00") for day, clock in zip(days, right, strict=True)]
    assert [frame.start_utc for frame in frames] == expected
    assert ["before" if "first time" in str(f.notes) else "set back" in str(f.notes) for f in frames] == [
        *(False, "before", "before", True, True, False)
    ]


def test_what_is_no_zone_is_an_error_that_says_what_is_one() -> None:
    assert zone_named("UTC+99") is None
    with pytest.raises(ValidationError, match="'EST' is no time zone: expected a name such as 'America/Santiago'"):
        Reading(time_zone="EST")
    with pytest.raises(ValidationError, match="clock_offset_h and time_zone are both set"):
        Reading(time_zone="UTC-4", clock_offset_h=-4.0)
