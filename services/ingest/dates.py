"""Dates as headers write them: every dialect becomes a day, seconds into it, and the offset from UTC if it is said."""

import re
from dataclasses import dataclass
from datetime import date

from pipeline.units import SECONDS_PER_DAY

JD_OF_ORDINAL_0 = 1721424.5  # JD of midnight that begins day 0 of the proleptic Gregorian calendar
EARLIEST_YEAR, LATEST_YEAR = 1850, 2100  # a year outside is a clock that was never set
OLD_CENTURY_PIVOT = 70  # two-digit years below are 20YY: writers that never heard of the 1998 change of DATE-OBS

_CLOCK = r"(?P<h>\d{1,2})[:hH ](?P<m>\d{1,2})(?:[:mM ](?P<s>\d{1,2}(?:\.\d*)?)s?)?"
_ZONE = r"\s*(?P<zone>[zZ]|UTC?|GMT|[+-]\d{2}(?::?\d{2})?)?"
_ISO = re.compile(rf"(?P<Y>\d{{4}})([-/.])(?P<M>\d{{1,2}})\2(?P<D>\d{{1,2}})(?:[Tt ]\s*{_CLOCK}{_ZONE})?", re.ASCII)
_OLD = re.compile(rf"(?P<D>\d{{1,2}})/(?P<M>\d{{1,2}})/(?P<Y>\d{{2}})(?:[Tt ]\s*{_CLOCK}{_ZONE})?", re.ASCII)
_TIME = re.compile(rf"{_CLOCK}{_ZONE}", re.ASCII)


@dataclass(frozen=True)
class TimeOfDay:
    """Seconds into a day, with the offset of its clock from UTC in seconds (None: not said)."""

    seconds: float
    offset_s: int | None


@dataclass(frozen=True)
class Stamp:
    """A day, and the time of day unless only the day is written."""

    day: date
    time: TimeOfDay | None

    def jd_utc(self) -> float:
        """JD(UTC); a stamp without an offset is taken as UTC. float64 resolves 40 microseconds.

        Raises:
            ValueError: only the day is known.
        """
        if self.time is None:
            raise ValueError(f"{self.day} has no time of day")
        return (
            self.day.toordinal() + JD_OF_ORDINAL_0 + (self.time.seconds - (self.time.offset_s or 0)) / SECONDS_PER_DAY
        )


def parse_stamp(text: str) -> Stamp:
    """Read ``YYYY-MM-DD[Thh:mm[:ss[.s]][Z|+hh:mm|-hhmm]]``, ``YYYY/MM/DD…`` or ``DD/MM/YY`` (FITS before 1998).

    Raises:
        ValueError: it is none of these, or no real date or time.
    """
    text = text.strip()
    found = _ISO.fullmatch(text) or _OLD.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a date: expected YYYY-MM-DDThh:mm:ss")
    year = int(found["Y"])
    if len(found["Y"]) == 2:
        year += 2000 if year < OLD_CENTURY_PIVOT else 1900
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise ValueError(f"{text!r} is not a date of an observation: year {year}")
    try:
        day = date(year, int(found["M"]), int(found["D"]))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date: {error}") from error
    return Stamp(day, None if found["h"] is None else _time_of_day(found, text))


def parse_time(text: str) -> TimeOfDay:
    """Read ``hh:mm:ss[.s]`` with an optional offset.

    Raises:
        ValueError: it is no time of day.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a time of day: expected hh:mm:ss")
    return _time_of_day(found, text)


def _time_of_day(found: re.Match[str], text: str) -> TimeOfDay:
    hours, minutes, seconds = int(found["h"]), int(found["m"]), float(found["s"] or 0)
    if hours > 23 or minutes > 59 or seconds >= 61:  # 60 is a leap second, or 59.9996 rounded by the writer
        raise ValueError(f"{text!r} is not a time of day")
    return TimeOfDay(hours * 3600 + minutes * 60 + seconds, _offset(found["zone"], text))


def _offset(zone: str | None, text: str) -> int | None:
    if zone is None:
        return None
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 14 or minutes > 59:
        raise ValueError(f"{text!r} has no real offset from UTC: {zone!r}")
    return (-1 if zone[0] == "-" else 1) * (hours * 3600 + minutes * 60)
