"""Every dialect of a date means the instant that was written."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.dates import parse_stamp, parse_time

JD_RESOLUTION = 5e-10  # days: one step of a float64 near JD 2.5 million

instants = st.datetimes(datetime(1980, 1, 1), datetime(2099, 12, 31))
offsets = st.integers(-12 * 4, 14 * 4).map(lambda quarters: timedelta(minutes=15 * quarters))


def jd_of(instant: datetime) -> float:
    """Exact rational arithmetic, apart from what is tested."""
    since = instant - datetime(2000, 1, 1, 12, tzinfo=UTC)
    return 2451545.0 + since / timedelta(days=1)


@given(instants)
def test_round_trip_of_utc_stamps(instant: datetime) -> None:
    expected = jd_of(instant.replace(tzinfo=UTC))
    for text in (
        instant.isoformat(),
        instant.isoformat(" ") + "Z",
        f"{instant:%Y/%m/%dT%H:%M:%S.%f}",
        f" {instant}UT ",
    ):
        assert parse_stamp(text).jd_utc() == pytest.approx(expected, abs=JD_RESOLUTION, rel=0)


@given(instants, offsets)
def test_round_trip_of_local_stamps(instant: datetime, offset: timedelta) -> None:
    local = instant.replace(tzinfo=timezone(offset))
    for text in (local.isoformat(), f"{local:%Y-%m-%dT%H:%M:%S.%f%z}"):
        stamp = parse_stamp(text)
        assert stamp.jd_utc() == pytest.approx(jd_of(local), abs=JD_RESOLUTION, rel=0)
        assert stamp.time is not None
        assert stamp.time.offset_s == offset.total_seconds()


@given(instants)
def test_days_without_a_time(instant: datetime) -> None:
    day = instant.date()
    assert parse_stamp(f"{day}").day == day
    assert parse_stamp(f"{day:%Y/%m/%d}").day == day
    with pytest.raises(ValueError, match="no time of day"):
        parse_stamp(f"{day}").jd_utc()


@given(st.dates(date(1970, 1, 1), date(2069, 12, 31)))
def test_old_fits_dates(day: date) -> None:
    assert parse_stamp(f"{day:%d/%m/%y}").day == day


@given(st.text())
def test_any_text_is_a_date_or_a_value_error(text: str) -> None:
    messages = []
    for parse in (parse_stamp, parse_time):
        try:
            parse(text)
        except ValueError as error:
            messages.append(str(error))
    assert all(message.isprintable() for message in messages)


@pytest.mark.parametrize(
    ("text", "jd"),
    [
        ("2017-12-19T18:33:43.317-0700", Time("2017-12-20T01:33:43.317", scale="utc").jd),
        ("2017-12-20T01:33:43.317-0000", Time("2017-12-20T01:33:43.317", scale="utc").jd),
        ("2000-01-01T12:00:00", 2451545.0),
        ("2000-01-01T17:30:00+05:30", 2451545.0),
        ("2000-01-01T12:00", 2451545.0),
        ("2016-12-31T23:59:60", 2457754.5),
        ("2020-02-29T23:59:60.0", 2458909.5),
    ],
)
def test_known_instants(text: str, jd: float) -> None:
    assert parse_stamp(text).jd_utc() == pytest.approx(jd, abs=JD_RESOLUTION, rel=0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "not a date", "2017-13-01", "2017-02-29T00:00:00", "0000-00-00T00:00:00", "1601-01-01T00:00:00"),
        *("2017-12-19T24:00:00", "2017-12-19T12:60:00", "2017-12-19T12:00:61", "2017-12-19T12:00:00+25:00"),
        *("2017-12-19T", "2017-12/19", "19/13/99", "2017-12-19T18:33:43 MST", "١٧/١٢/١٩"),
    ],
)
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a|offset"):
        parse_stamp(text)
