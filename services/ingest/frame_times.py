"""Which of a header's times is the frame's: start and middle of the exposure, JD(UTC), and what speaks against it."""

import re
from dataclasses import dataclass, replace
from datetime import date

from astropy.io import fits

from pipeline.units import SECONDS_PER_DAY
from services.ingest import cards
from services.ingest.dates import Stamp, TimeOfDay, parse_stamp, parse_time

UTC_KEYS = ("UT-OBS", "UTC-OBS", "DATE-UTC", "UTSTART", "UT", "UTC")  # UTC by name, with a full date or a time only
DATE_KEYS = ("DATE-OBS", "DATE-BEG", "DATE_OBS", "DATEOBS", "UT-DATE", "UTDATE", "DATE-AVG")
TIME_KEYS = ("TIME-OBS", "UT-OBS", "UTC-OBS", "UTSTART", "TIME-BEG", "TIME_OBS", "UT-TIME", "UT", "UTC")
JD_KEYS = ("JD_UTC", "JD-OBS", "JD", "MJD-OBS", "MJD-BEG", "MJD")
EXPOSURE_KEYS = ("EXPTIME", "EXPOSURE", "EXP_TIME", "EXP-TIME", "ITIME", "ONTIME")
SECONDS_IN = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "microsec", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), SECONDS_PER_DAY),
}
LONGEST_EXPOSURE_S = 7 * SECONDS_PER_DAY
AGREEMENT_S = 1.0
MJD_ZERO = 2400000.5
JD_RANGE = (2396758.5, 2488434.5)  # 1850 to 2101
GPS_TO_TAI_S = 19.0
SCALES = {"TAI": "tai", "TT": "tt", "TDT": "tt", "ET": "tdb", "TDB": "tdb", "GPS": "tai"}

_LOCAL = re.compile(r"\blocal\b|\blt\b")
_START = re.compile(r"\bstart|\bbegin")
_MIDDLE = re.compile(r"\bmid\b|\bmid-?exp|\bmid-?point|\bmiddle\b")
_END = re.compile(r"\bend of (the )?(exp|obs)")


@dataclass(frozen=True)
class Times:
    """Times of one frame, JD(UTC); None where the header does not say."""

    start: float | None = None
    middle: float | None = None
    source: str | None = None
    day: date | None = None  # the calendar day, where the header has no time of day
    utc_offset_s: int | None = None  # of the observatory's clock, where a stamp says it
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Reading:
    key: str
    source: str
    jd: float
    is_explicit: bool
    precision_s: float


def exposure_time(header: fits.Header) -> tuple[float | None, tuple[str, ...]]:
    """Exposure time in seconds (None: no keyword), and notes.

    Raises:
        ValueError: there are keywords, and none can be read as a time from 0 s to a week.
    """
    found = {key: value for key in EXPOSURE_KEYS if (value := cards.raw(header, key)) not in (None, "")}
    seconds: dict[str, float] = {}
    for key, value in found.items():
        number = cards.as_number(value, SECONDS_IN)
        if number is None:
            continue
        number *= SECONDS_IN[_unit(value, cards.comment(header, key))]
        if 0.0 <= number <= LONGEST_EXPOSURE_S:
            seconds[key] = number
    if not seconds:
        if found:
            key, value = next(iter(found.items()))
            raise ValueError(f"exposure time {key} = {value!r} cannot be read: expected seconds")
        return None, ()
    first, exposure = next(iter(seconds.items()))
    others = [key for key, value in seconds.items() if abs(value - exposure) > 0.01 * exposure + 0.001]
    return exposure, tuple(f"{key} differs from {first}, which is used" for key in others)


def _unit(value: object, comment: str) -> str:
    """Of an exposure time: behind its value, else in brackets in its comment, else a word that is no second's."""
    behind = re.search(r"[A-Za-z]+$", str(value).strip(), re.ASCII)
    if behind is not None and behind[0].lower() in SECONDS_IN:
        return behind[0].lower()
    bracketed = re.search(r"[\[(]\s*([a-z]+)\s*[\])]", comment, re.ASCII)
    if bracketed is not None and bracketed[1] in SECONDS_IN:
        return bracketed[1]
    word = re.search(r"\b(millisec|microsec|in minutes|in hours|in days)", comment, re.ASCII)
    return "s" if word is None else word[1].removeprefix("in ")


def frame_times(header: fits.Header, exposure_s: float | None) -> Times:
    """Start and middle of the exposure.

    A stamp that says it is UTC (UT-OBS with its date, a ``Z`` or an offset) goes before one that does not, and any
    stamp before JD and MJD, which are often rounded. A stamp is the start of the exposure unless its comment says
    middle or end (DATE-AVG is the middle). TIMESYS is obeyed.

    Raises:
        ValueError: there are dates, and none can be read.
    """
    stamps, notes, days, offset = _stamps(header)
    readings = sorted(stamps, key=lambda reading: not reading.is_explicit) + _julian_dates(header)
    if not readings:
        if notes and not days:
            raise ValueError("; ".join(notes))
        day_notes = (f"no time of day, only the day {days[0]}",) if days else ()
        return Times(day=days[0] if days else None, utc_offset_s=offset, notes=(*notes, *day_notes))
    exposure = exposure_s or 0.0
    starts = [_start(header, reading, exposure) for reading in readings]
    chosen, start = readings[0], starts[0]
    for other, other_start in zip(readings[1:], starts[1:], strict=True):
        allowed = max(AGREEMENT_S, other.precision_s + chosen.precision_s)
        allowed += exposure if other.key in JD_KEYS else 0.0  # many programs write the middle there
        if (difference := abs(other_start - start) * SECONDS_PER_DAY) > allowed:
            notes.append(f"{other.source} differs from {chosen.source}, which is used, by {difference:.0f} s")
    if chosen.precision_s > AGREEMENT_S:
        notes.append(f"{chosen.source} is rounded to {chosen.precision_s:.0f} s")
    if not chosen.is_explicit and _LOCAL.search(cards.comment(header, chosen.key)):
        notes.append(f"{chosen.source} may be local time: its comment says so; it is taken as UTC")
    return Times(start, start + exposure / 2.0 / SECONDS_PER_DAY, chosen.source, None, offset, tuple(notes))


def _stamps(header: fits.Header) -> tuple[list[_Reading], list[str], list[date], int | None]:
    """Readings of all full stamps, what could not be read, days without a time, and the clock's offset."""
    readings, unreadable, days, offset = [], [], [], None
    for key in (*UTC_KEYS, *DATE_KEYS):
        if (written := cards.text(header, (key,))) is None:
            continue
        try:
            stamp, source = _completed(header, key, parse_stamp(written))
        except ValueError as error:
            if key in DATE_KEYS:  # the others often hold a time only
                unreadable.append(f"{key}: {error}")
            continue
        if stamp.time is None:
            days.append(stamp.day)
            continue
        offset = stamp.time.offset_s or offset
        is_explicit = key in UTC_KEYS or stamp.time.offset_s is not None
        jd = stamp.jd_utc() if is_explicit else _to_utc(header, stamp.jd_utc())
        readings.append(_Reading(key, source, jd, is_explicit, 0.0))
    return readings, unreadable, days, offset


def _completed(header: fits.Header, key: str, stamp: Stamp) -> tuple[Stamp, str]:
    """The stamp with the time of day of another card, where it has none or an empty 00:00:00."""
    if stamp.time is not None and stamp.time != TimeOfDay(0.0, None):
        return stamp, key
    for time_key in TIME_KEYS:
        if (written := cards.text(header, (time_key,))) is None:
            continue
        try:
            return replace(stamp, time=parse_time(written)), f"{key}+{time_key}"
        except ValueError:
            if stamp.time is None and not _is_stamp(written):
                raise
    return stamp, key


def _is_stamp(written: str) -> bool:
    try:
        parse_stamp(written)
    except ValueError:
        return False
    return True


def _julian_dates(header: fits.Header) -> list[_Reading]:
    readings = []
    for key in JD_KEYS:
        number = cards.as_number(cards.raw(header, key))
        if number is None:
            continue
        jd = number + MJD_ZERO if number < JD_RANGE[0] - MJD_ZERO + 1e5 else number
        if JD_RANGE[0] <= jd <= JD_RANGE[1]:
            precision_s = SECONDS_PER_DAY * 10.0 ** -cards.decimals(header, key)
            readings.append(_Reading(key, key, _to_utc(header, jd), "UTC" in key, precision_s))
    return readings


def _to_utc(header: fits.Header, jd: float) -> float:
    written = (cards.text(header, ("TIMESYS",)) or "UTC").upper()
    scale = SCALES.get(written)
    if scale is None:
        return jd
    from astropy.time import Time  # a tenth of a second, for the few headers that are not in UTC

    shift = GPS_TO_TAI_S / SECONDS_PER_DAY if written == "GPS" else 0.0
    return float(Time(jd, shift, format="jd", scale=scale).utc.jd)


def _start(header: fits.Header, reading: _Reading, exposure_s: float) -> float:
    comment = cards.comment(header, reading.key)
    if _START.search(comment):
        return reading.jd
    if reading.key == "DATE-AVG" or _MIDDLE.search(comment):
        return reading.jd - exposure_s / 2.0 / SECONDS_PER_DAY
    if _END.search(comment):
        return reading.jd - exposure_s / SECONDS_PER_DAY
    return reading.jd
