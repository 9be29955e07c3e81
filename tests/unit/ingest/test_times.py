"""Which of a header's times counts."""

import pytest
from astropy.time import Time

from services.ingest.exposures import exposure_time
from services.ingest.frame_times import Times, frame_times
from tests.unit.ingest.made_frames import header

START = Time("2017-12-20T01:33:43.317", scale="utc").jd
SECOND = 1 / 86400
NEAR = 1e-3 * SECOND


def near(jd: float) -> object:
    return pytest.approx(jd, abs=NEAR, rel=0)


@pytest.mark.parametrize(
    ("cards", "source"),
    [
        ({"DATE_OBS": "2017-12-20T01:33:43.317"}, "DATE-OBS"),
        ({"DATE_OBS": "2017-12-19T18:33:43.317-0700"}, "DATE-OBS"),
        ({"DATE_OBS": "2017-12-20", "TIME_OBS": "01:33:43.317"}, "DATE-OBS+TIME-OBS"),
        ({"DATE_OBS": "2017/12/20", "UT": "01:33:43.317"}, "DATE-OBS+UT"),
        ({"DATE_OBS": "2017-12-20", "UTSTART": "01:33:43.317"}, "DATE-OBS+UTSTART"),
        ({"DATE_OBS": "20/12/17", "UT_OBS": "1:33:43.317"}, "DATE-OBS+UT-OBS"),
        ({"DATE_OBS": "2017-12-20T00:00:00", "TIME_OBS": "01:33:43.317"}, "DATE-OBS+TIME-OBS"),
        ({"UT_OBS": "2017-12-20T01:33:43.317"}, "UT-OBS"),
        ({"DATE_BEG": "2017-12-20T01:33:43.317"}, "DATE-BEG"),
        ({"JD": START}, "JD"),
        ({"MJD_OBS": START - 2400000.5}, "MJD-OBS"),
        ({"MJD_OBS": f"{START - 2400000.5:.9f}"}, "MJD-OBS"),
        ({"DATE_OBS": ("2017-12-20T01:34:13.317", "mid-exposure, UTC")}, "DATE-OBS"),
        ({"DATE_OBS": ("2017-12-20T01:34:43.317", "UTC at end of exposure")}, "DATE-OBS"),
        ({"DATE_OBS": ("2017-12-20T01:33:43.317", "Start, not middle, of exposure")}, "DATE-OBS"),
        ({"DATE_AVG": "2017-12-20T01:34:13.317"}, "DATE-AVG"),
        ({"DATE_OBS": "2017-12-20T01:34:20.317", "TIMESYS": "TAI"}, "DATE-OBS"),
        ({"DATE_OBS": "2017-12-20T01:34:52.501", "TIMESYS": "TT"}, "DATE-OBS"),
        ({"DATE_OBS": "2017-12-20T01:34:01.317", "TIMESYS": "GPS"}, "DATE-OBS"),
    ],
)
def test_one_start_in_many_dialects(cards: dict[str, object], source: str) -> None:
    times = frame_times(header(**cards), 60.0)
    assert times.start == near(START)
    assert times.middle == near(START + 30 * SECOND)
    assert times.source == source
    assert times.notes == ()


def test_utc_by_name_goes_before_a_local_stamp_that_agrees() -> None:
    times = frame_times(
        header(DATE_OBS="2017-12-19T18:33:43.317-0700", UT_OBS="2017-12-20T01:33:43.317-0000", MJD_OBS=58107.065), 60.0
    )
    assert (times.source, times.utc_offset_s, times.notes) == ("UT-OBS", -7 * 3600, ())
    assert times.start == near(START)


@pytest.mark.parametrize("local", ["2017-12-19T18:33:40-0700", "2017-12-19T18:33:43.317"])
def test_utc_by_name_goes_before_a_stamp_that_disagrees_and_says_so(local: str) -> None:
    times = frame_times(header(DATE_OBS=local, UT_OBS="2017-12-20T01:33:43.317Z"), 60.0)
    assert times.start == near(START)
    assert "DATE-OBS differs from UT-OBS" in times.notes[0]


def test_a_stamp_with_an_offset_goes_before_one_without() -> None:
    times = frame_times(header(DATE_OBS="2017-12-19T18:33:43.317", DATE_BEG="2017-12-19T18:33:43.317-0700"), 60.0)
    assert times.source == "DATE-BEG"
    assert times.start == near(START)
    assert "DATE-OBS differs" in times.notes[0]


def test_disagreement_below_a_second_is_no_news() -> None:
    assert frame_times(header(DATE_OBS="2017-12-20T01:33:43", UT_OBS="2017-12-20T01:33:43.317"), 60.0).notes == ()


def test_rounding_of_julian_dates_is_said() -> None:
    times = frame_times(header(MJD_OBS=58107.065), 60.0)
    assert times.start == pytest.approx(START, abs=0.0005, rel=0)
    assert times.notes == ("MJD-OBS is rounded to 86 s",)


def test_julian_date_of_another_day_is_said() -> None:
    times = frame_times(header(DATE_OBS="2017-12-20T01:33:43", MJD_OBS=58106.06508), 60.0)
    assert "MJD-OBS differs from DATE-OBS, which is used, by 24.0 h" in times.notes[0]


def test_local_time_without_an_offset_is_doubted() -> None:
    times = frame_times(header(DATE_OBS=("2017-12-20T01:33:43", "Start of exposure, LT")), 60.0)
    assert "local time" in times.notes[0]


def test_a_day_alone_is_no_start() -> None:
    times = frame_times(header(DATE_OBS="2017-12-20"), 60.0)
    assert (times.start, times.middle, str(times.day)) == (None, None, "2017-12-20")


def test_the_day_the_file_was_written_is_no_time() -> None:
    assert frame_times(header(DATE="2020-01-01T00:00:00", HJD=2458107.5, OBJECT="x"), 60.0) == Times()


@pytest.mark.parametrize(
    "cards", [{"DATE_OBS": "yesterday"}, {"DATE_OBS": "2017-12-20", "TIME_OBS": "noon"}, {"DATE_OBS": 20171220}]
)
def test_garbage_is_an_error(cards: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"DATE-OBS: '.*' is not|DATE-OBS: 'noon' is not"):
        frame_times(header(**cards), 60.0)


def test_garbage_beside_a_readable_time_is_a_note() -> None:
    times = frame_times(header(DATE_OBS="0000-00-00T00:00:00", MJD_OBS=START - 2400000.5), 60.0)
    assert times.start == near(START)
    assert "DATE-OBS: '0000-00-00T00:00:00' is not a date" in times.notes[0]


@pytest.mark.parametrize(
    ("cards", "seconds"),
    [
        ({"EXPTIME": 60}, 60.0),
        ({"EXPOSURE": 0.5}, 0.5),
        ({"EXP_TIME": "30.0"}, 30.0),
        ({"ITIME": " 12 s "}, 12.0),
        ({"EXPTIME": "250 ms"}, 0.25),
        ({"EXPTIME": (250.0, "[ms] integration")}, 0.25),
        ({"EXPOSURE": (0.01648, "[d] time on source")}, 1423.872),
        ({"EXPTIME": (2.0, "exposure (min)")}, 120.0),
        ({"EXPTIME": "1500 us"}, 0.0015),
        ({"EXPTIME": "12,5"}, 12.5),
        ({"EXPTIME": "'30,0 s'"}, 30.0),
        ({"EXPTIME": (30.0, "total (s), 1 of 5")}, 30.0),
        ({"EXPTIME": "auto", "EXPOSURE": 20.0}, 20.0),
        ({"EXPTIME": 0}, 0.0),
        ({"OBJECT": "x"}, None),
        ({"EXPTIME": ""}, None),
    ],
)
def test_exposure_times(cards: dict[str, object], seconds: float | None) -> None:
    made = header(**cards)
    if "EXP-TIME" in made:
        made["EXP_TIME"] = made.pop("EXP-TIME")
    assert exposure_time(made) == (None if seconds is None else pytest.approx(seconds), ())


@pytest.mark.parametrize("value", ["long", -1.0, 1e9, True, "1,5,2"])
def test_impossible_exposure_times(value: object) -> None:
    with pytest.raises(ValueError, match=r"EXPTIME = .* cannot be read"):
        exposure_time(header(EXPTIME=value))


def test_disagreeing_exposure_times_are_said() -> None:
    assert exposure_time(header(EXPTIME=60.0, EXPOSURE=59.0)) == (
        60.0,
        ("EXPOSURE differs from EXPTIME, which is used",),
    )


@pytest.mark.parametrize(
    ("cards", "source"),
    [
        ({"UT": "01:33:43.3"}, "UT"),
        ({"UTSTART": "01:33:43"}, "UTSTART"),
        ({"JD": START}, "JD"),
        ({"JD": START + 30 * SECOND}, "JD"),
        ({"MJD_OBS": START - 2400000.5}, "MJD-OBS"),
        ({"JD_OBS": START, "DATE_END": "2017-12-20T09:34:44"}, "JD-OBS"),
    ],
)
def test_a_stamp_whole_hours_off_what_is_utc_is_local_time(cards: dict[str, object], source: str) -> None:
    times = frame_times(header(DATE_OBS="2017-12-20T09:33:43.317", **cards), 60.0)
    assert times.start == near(START)
    assert times.notes == (f"DATE-OBS is taken for local time, +8 h from UTC, by {source}",)


def test_local_time_of_the_day_before_and_of_half_an_hour() -> None:
    times = frame_times(header(DATE_OBS="2017-12-19T16:03:43.317", UT="01:33:43.317"), 60.0)
    assert times.start == near(START)
    assert "-9.5 h from UTC" in times.notes[0]


def test_a_comment_that_says_utc_is_believed_against_other_clocks() -> None:
    times = frame_times(header(DATE_OBS=("2017-12-20T01:33:43.317", "UTC start"), JD=START - 8 / 24), 60.0)
    assert times.start == near(START)
    assert times.notes == ("JD differs from DATE-OBS, which is used, by 8.0 h",)


def test_timesys_that_says_utc_is_believed_and_a_time_of_day_that_differs_is_said() -> None:
    times = frame_times(header(DATE_OBS="2017-12-20T01:33:43.317", TIMESYS="UTC", UT="17:33:43", JD=START), 60.0)
    assert times.start == near(START)
    assert times.notes == ("UT differs from DATE-OBS, which is used, by 8.0 h",)


def test_times_that_differ_by_no_whole_hours_are_said_and_shift_nothing() -> None:
    times = frame_times(header(DATE_OBS="2017-12-20T01:33:43.317", UT="02:11:00", JD=START + 0.013), 60.0)
    assert times.start == near(START)
    assert times.notes == (
        "UT differs from DATE-OBS, which is used, by 37 min",
        "JD differs from DATE-OBS, which is used, by 19 min",
    )


@pytest.mark.parametrize(
    ("cards", "note"),
    [
        ({"DATE_END": "2017-12-20T01:34:50"}, None),  # read out meanwhile
        ({"DATE_END": "2017-12-20T09:34:43"}, "DATE-END differs from DATE-OBS, which is used, by 8.0 h"),
        ({"DATE_END": "2017-12-20T00:34:43"}, "DATE-END differs from DATE-OBS, which is used, by 60 min"),
        ({"DATE_AVG": "2017-12-20T01:34:13"}, None),
        ({"DATE_AVG": "2017-12-20T01:40:00"}, "DATE-AVG differs from DATE-OBS, which is used, by 6 min"),
    ],
)
def test_the_end_and_the_middle_are_compared_with_the_start(cards: dict[str, object], note: str | None) -> None:
    times = frame_times(header(DATE_OBS="2017-12-20T01:33:43.317", **cards), 60.0)
    assert times.start == near(START)
    assert times.notes == (() if note is None else (note,))


def test_the_end_alone_gives_the_start() -> None:
    times = frame_times(header(DATE_END="2017-12-20T01:34:43.317"), 60.0)
    assert times.start == near(START)
    assert times.notes[0].startswith("DATE-END alone tells the time")


@pytest.mark.parametrize(
    ("cards", "note"),
    [
        ({"JD": START - 2400000.0}, "JD is taken for JD - 2400000: no other card tells"),
        ({"MJD": START}, None),
        ({"DATE_OBS": "2017-12-20T01:33:43.317", "JD": START - 2400000.0}, None),
        ({"DATE_OBS": "2017-12-20T01:33:43.317", "JD": START - 2400000.5}, "JD is taken for MJD, by DATE-OBS"),
        (
            {"DATE_OBS": "2017-12-20T01:33:43.317", "MJD_OBS": START - 2400000.0},
            "MJD-OBS is taken for JD - 2400000, by DATE-OBS",
        ),
        (
            {"DATE_OBS": "2017-12-20T01:33:43.317", "JD": START - 2450000.0},
            "JD of 8107.57 is no Julian date of an observation: ignored",
        ),
    ],
)
def test_short_julian_dates(cards: dict[str, object], note: str | None) -> None:
    times = frame_times(header(**cards), 60.0)
    assert times.start == near(START)
    assert times.notes == (() if note is None else (note,))


SPAN = {"DATE_OBS": "2017-12-20T01:33:43", "DATE_END": "2017-12-20T01:34:44"}


@pytest.mark.parametrize(
    ("cards", "seconds", "note"),
    [
        ({"EXPTIME": 60.0}, 60.0, None),
        ({"EXPTIME": 1.0, "EXPOSURE": 60.0}, 60.0, "EXPTIME differs from EXPOSURE, which is used"),
        ({"EXPTIME": 60000}, 60.0, "EXPTIME is taken for milliseconds, by the end of the exposure"),
        ({"EXPTIME": 1.0}, 60.0, "EXPTIME is taken for minutes, by the end of the exposure"),
        ({"EXPTIME": (1.0, "[s] shutter")}, 1.0, None),
        ({"EXPTIME": 90.0}, 90.0, "EXPTIME is longer than the time from start to end of the exposure in the header"),
    ],
)
def test_exposures_that_contradict_the_time_from_start_to_end(
    cards: dict[str, object], seconds: float, note: str | None
) -> None:
    assert exposure_time(header(**SPAN, **cards)) == (pytest.approx(seconds), () if note is None else (note,))


def test_exposures_of_two_headers_of_a_file_are_compared() -> None:
    said = "EXPTIME of the primary header differs from EXPTIME, which is used"
    assert exposure_time(header(EXPTIME=60.0), primary=header(EXPTIME=1.0)) == (60.0, (said,))
    better = ("EXPTIME differs from EXPTIME of the primary header, which is used",)
    assert exposure_time(header(**SPAN, EXPTIME=1.0, EXPOSURE=2.0), primary=header(EXPTIME=60.0))[1][:1] == better
