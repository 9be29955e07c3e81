"""Which of a header's times is the frame's: start and middle of the exposure, JD(UTC), and what speaks against it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from astropy.io import fits

from pipeline.units import SECONDS_PER_DAY
from services.ingest import cards
from services.ingest.dates import JD_OF_ORDINAL_0, Stamp, TimeOfDay, parse_stamp, parse_time
from services.ingest.dialect import Dialect, Moment
from services.ingest.dialect_files import STANDARD
from services.ingest.local_clocks import LOCAL_SYSTEMS, TWICE_NOTE, ahead_of_utc, zone_of

AGREEMENT_S = 1.0
READOUT_S = 120.0  # between the end of an exposure and the stamp of its end
HALF_HOUR_S = 1800.0  # clocks of the world differ from UTC by whole ones, up to 14 h
WHOLE_SLACK_S = 2.0
MOST_OFFSET_S = 14 * 3600.0
MJD_ZERO, RJD_ZERO = 2400000.5, 2400000.0
EARLIEST_SHORT = 40000.0  # days since `MJD_ZERO`: shorter numbers count from another day, which nobody knows
JD_RANGE = (2396758.5, 2488434.5)  # 1850 to 2101
GPS_TO_TAI_S = 19.0
SCALES = {"TAI": "tai", "TT": "tt", "TDT": "tt", "ET": "tdb", "TDB": "tdb", "GPS": "tai"}

_LOCAL = re.compile(r"\blocal\b|\blt\b")
_UTC = re.compile(r"\butc?\b(?! *[+-] *\d)|\bgmt\b|\buniversal\b")
_SCALE = re.compile(r"\b(tai|tt|tdt|tdb|gps)\b")
_START = re.compile(r"\bstart|\bbegin")
_MIDDLE = re.compile(r"\bmid\b|\bmid-?exp|\bmid-?point|\bmiddle\b")
_END = re.compile(r"\bend of (the )?(exp|obs)")


@dataclass(frozen=True)
class RivalClock:
    """The other reading of a stamp and a Julian date whole hours apart: that the stamp is UTC and not local time."""

    stamp: str  # keywords
    julian: str
    start: float  # JD(UTC), by the stamp
    ahead_h: float  # hours that the stamp is ahead
    day: date  # of the stamp
    note: str  # what is said where the stamp is taken for local time
    zone_h: float | None = None  # hours that the zone of the header is ahead of UTC


@dataclass(frozen=True)
class Times:
    """Times of one frame, JD(UTC); None where the header does not say."""

    start: float | None = None
    middle: float | None = None
    source: str | None = None
    day: date | None = None  # the calendar day, where the header has no time of day
    utc_offset_s: int | None = None  # of the observatory's clock, where a stamp says it
    notes: tuple[str, ...] = ()
    is_twice: bool = False  # a local time in the hour that comes twice when clocks are set back: its first time
    rival: RivalClock | None = None  # where a Julian date that does not say UTC alone proves local time


@dataclass(frozen=True)
class _Reading:
    key: str
    source: str
    jd: float
    is_explicit: bool
    precision_s: float = 0.0
    is_julian: bool = False
    is_end: bool = False
    is_twice: bool = False
    zone: str | None = None  # of the header or the operator, by which a local stamp was understood
    is_homeless: bool = False  # local time of a zone that nobody tells
    is_told: bool = False  # comment or TIMESYS name its scale


def frame_times(header: fits.Header, exposure_s: float | None, words: Dialect = STANDARD) -> Times:
    """Start and middle of the exposure.

    A stamp that says it is UTC (UT-OBS with its date, a ``Z`` or an offset, a comment) goes before one that does not,
    and any stamp before JD and MJD, which are often rounded, and before the end of the exposure. A stamp is the start
    of the exposure unless its comment or the dialect says middle or end. TIMESYS is obeyed. A stamp that does not say
    that it is UTC, and differs by whole half hours from a time of day or a Julian date that does, is a local time;
    a Julian date that does not say so either leaves a rival to be told apart by the sky.

    Raises:
        ValueError: there are dates, and none can be read.
    """
    stamps, notes, days, offset = _stamps(header, words)
    exposure = exposure_s or 0.0
    julian, julian_notes = _julian_dates(header, words, stamps)
    ordered = sorted(stamps, key=lambda reading: (reading.is_end, not reading.is_explicit))
    ends = [reading for reading in ordered if reading.is_end]
    readings = [reading for reading in ordered if not reading.is_end] + julian + ends
    readings = [replace(one, jd=_start(header, one, exposure, words)) for one in readings]
    if not readings:
        if notes and not days:
            raise ValueError("; ".join(notes))
        day_notes = (f"no time of day, only the day {days[0]}",) if days else ()
        return Times(day=days[0] if days else None, utc_offset_s=offset, notes=(*notes, *julian_notes, *day_notes))
    chosen, local_notes, rival = _in_utc(readings, _times_of_day(header, words), exposure)
    if chosen.is_homeless and not chosen.is_explicit:
        readings = [one for one in readings if not one.is_homeless]
        said = f"TIMESYS says that {chosen.source} is local time, and nobody of which zone: "
        if not readings:
            no_time = f"{said}no time is used; set time_zone"
            return Times(day=_day(chosen.jd), utc_offset_s=offset, notes=(*notes, *julian_notes, no_time))
        chosen = readings[0]
        notes.append(f"{said}{chosen.source} is used")
    notes += [*julian_notes, *local_notes]
    notes += _disagreements(chosen, readings[1:], exposure, is_shifted=bool(local_notes))
    if chosen.is_end:
        notes.append(f"{chosen.source} alone tells the time: the start is that less the exposure and any read-out")
    if chosen.precision_s > AGREEMENT_S:
        notes.append(f"{chosen.source} is rounded to {chosen.precision_s:.0f} s")
    if not chosen.is_explicit and _LOCAL.search(cards.comment(header, chosen.key)):
        notes.append(f"{chosen.source} may be local time: its comment says so; it is taken as UTC")
    middle = chosen.jd + exposure / 2.0 / SECONDS_PER_DAY
    if words.clock_offset_h and chosen.is_told:
        notes.append(f"{chosen.source} says that it is UTC, or of another scale: clock_offset_h is left aside")
    if chosen.zone is not None:
        notes.append(f"{chosen.source} is local time of {chosen.zone}")
    if chosen.is_twice:
        notes.append(TWICE_NOTE)
    if rival is not None and (zone := zone_of(header, words)) is not None:
        rival = replace(rival, zone_h=ahead_of_utc(zone[1], rival.start)[0])
    return Times(chosen.jd, middle, chosen.source, None, offset, tuple(notes), chosen.is_twice, rival)


def _day(jd: float) -> date:
    return date.fromordinal(int(jd - JD_OF_ORDINAL_0))


def _in_utc(
    readings: Sequence[_Reading], times: dict[str, float], exposure: float
) -> tuple[_Reading, tuple[str, ...], RivalClock | None]:
    """The reading that counts, shifted by whole half hours where others prove it a local time."""
    chosen = readings[0]
    if chosen.is_julian:
        return chosen, (), None
    proofs = {key: _apart_s(chosen.jd, seconds) for key, seconds in times.items()}
    proofs |= {
        one.source: (chosen.jd - one.jd) * SECONDS_PER_DAY
        for one in readings
        if one.is_julian and one.precision_s <= AGREEMENT_S
    }
    for source, ahead in () if chosen.is_explicit else proofs.items():
        whole = round(ahead / HALF_HOUR_S) * HALF_HOUR_S
        is_whole = abs(ahead - whole) <= WHOLE_SLACK_S + (0.0 if source in times else exposure)
        if whole and is_whole and abs(whole) <= MOST_OFFSET_S:
            said = f"{chosen.source} is taken for local time, {whole / 3600.0:+g} h from UTC, by {source}"
            shifted = replace(chosen, jd=chosen.jd - whole / SECONDS_PER_DAY, is_explicit=True)
            is_proof = source in times or any(one.source == source and one.is_explicit for one in readings)
            hours, day = whole / 3600.0, _day(chosen.jd)
            is_proof |= chosen.is_homeless  # the header says that it is local
            rival = None if is_proof else RivalClock(chosen.source, source, chosen.jd, hours, day, said)
            return shifted, (said,), rival
    differing = tuple(
        f"{source} differs from {chosen.source}, which is used, by {_said(ahead)}"
        for source, ahead in proofs.items()
        if source in times and abs(ahead) > AGREEMENT_S + exposure + READOUT_S
    )
    return chosen, differing, None


def _apart_s(jd: float, seconds: float) -> float:
    """How far a stamp is ahead of a time of day that may be of a neighbouring day, seconds."""
    of_day = ((jd + 0.5) % 1.0) * SECONDS_PER_DAY
    return (of_day - seconds + SECONDS_PER_DAY / 2.0) % SECONDS_PER_DAY - SECONDS_PER_DAY / 2.0


def _said(seconds: float) -> str:
    """A difference, no finer than all frames of a folder share it."""
    size = abs(seconds)
    return (
        f"{size / 3600.0:.1f} h" if size >= 7200.0 else f"{size / 60.0:.0f} min" if size >= 120.0 else f"{size:.0f} s"
    )


def _disagreements(chosen: _Reading, others: Sequence[_Reading], exposure: float, *, is_shifted: bool) -> list[str]:
    notes = []
    for other in others:
        ahead = (other.jd - chosen.jd) * SECONDS_PER_DAY
        allowed = max(AGREEMENT_S, other.precision_s + chosen.precision_s)
        allowed += exposure if other.is_julian else 0.0  # many programs write the middle there
        if other.is_end:
            allowed = WHOLE_SLACK_S + (READOUT_S + exposure if ahead > 0.0 else exposure)
        is_same_clock = is_shifted and not other.is_explicit and not other.is_julian
        if abs(ahead) > allowed and not is_same_clock:
            notes.append(f"{other.source} differs from {chosen.source}, which is used, by {_said(ahead)}")
    return notes


def _stamps(header: fits.Header, words: Dialect) -> tuple[list[_Reading], list[str], list[date], int | None]:
    """Readings of all full stamps, what could not be read, days without a time, and the clock's offset."""
    readings, unreadable, days, offset = [], [], [], None
    keywords = words.keywords
    for key in dict.fromkeys((*keywords.utc, *keywords.start, *keywords.end)):
        if (written := cards.text(header, (key,))) is None:
            continue
        is_end = key in keywords.end
        try:
            stamp = parse_stamp(written)
            stamp, source = (stamp, key) if is_end else _completed(header, key, stamp, words)
        except ValueError as error:
            if key in keywords.start:  # the others often hold a time only
                unreadable.append(f"{key}: {error}")
            continue
        if stamp.time is None:
            if not is_end:
                days.append(stamp.day)
            continue
        offset = stamp.time.offset_s or offset
        readings.append(_reading(header, key, source, stamp, words))
    return readings, unreadable, days, offset


def _reading(header: fits.Header, key: str, source: str, stamp: Stamp, words: Dialect) -> _Reading:
    is_zoned = stamp.time is not None and stamp.time.offset_s is not None
    is_named = any(part in words.keywords.utc for part in source.split("+"))
    is_end = key in words.keywords.end
    comment, system = cards.comment(header, key), (cards.text(header, ("TIMESYS",)) or "").upper()
    says_local = system in LOCAL_SYSTEMS or (_LOCAL.search(comment) is not None and _UTC.search(comment) is None)
    says_utc = (_UTC.search(comment) is not None or system in ("UTC", "UT")) and _LOCAL.search(comment) is None
    if words.clock_offset_h is not None and not (is_zoned or is_named or says_utc or _scale(header, key)):
        jd = stamp.jd_utc() - words.clock_offset_h / 24.0
        return _Reading(key, source, jd, is_explicit=True, is_end=is_end)
    if not (is_zoned or is_named or says_utc) and (words.time_zone is not None or says_local):
        if (zone := zone_of(header, words)) is not None:
            ahead, twice = ahead_of_utc(zone[1], stamp.jd_utc())
            jd = stamp.jd_utc() - ahead / 24.0
            name = None if words.time_zone else zone[0]
            return _Reading(key, source, jd, is_explicit=True, is_end=is_end, is_twice=twice > 0.0, zone=name)
        if system in LOCAL_SYSTEMS:
            return _Reading(key, source, stamp.jd_utc(), is_explicit=False, is_end=is_end, is_homeless=True)
    is_explicit = is_zoned or key in words.keywords.utc
    is_explicit |= says_utc
    jd = stamp.jd_utc() if is_zoned or key in words.keywords.utc else _to_utc(header, key, stamp.jd_utc())
    is_told = not (is_zoned or is_named) and (says_utc or _scale(header, key) is not None)
    return _Reading(key, source, jd, is_explicit, is_end=is_end, is_told=is_told)


def _completed(header: fits.Header, key: str, stamp: Stamp, words: Dialect) -> tuple[Stamp, str]:
    """The stamp with the time of day of another card, where it has none or an empty 00:00:00."""
    if stamp.time is not None and stamp.time != TimeOfDay(0.0, None):
        return stamp, key
    for time_key in words.keywords.time_of_day:
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


def _times_of_day(header: fits.Header, words: Dialect) -> dict[str, float]:
    """Seconds into the day of UTC, by the card that holds a time alone and is UTC by its name."""
    found = {}
    for key in words.keywords.utc:
        if (written := cards.text(header, (key,))) is not None:
            try:
                time = parse_time(written)
            except ValueError:
                continue
            found[key] = time.seconds - (time.offset_s or 0)
    return found


def _julian_dates(header: fits.Header, words: Dialect, stamps: Sequence[_Reading]) -> tuple[list[_Reading], list[str]]:
    """Readings, and notes on numbers that count from another day than their name says."""
    readings: list[_Reading] = []
    notes: list[str] = []
    for key in words.keywords.julian_date:
        number = cards.as_number(cards.raw(header, key))
        if number is None or number == 0.0:
            continue
        if number < JD_RANGE[0] - MJD_ZERO + 1e5:
            if number < EARLIEST_SHORT:
                notes.append(f"{key} of {number:g} is no Julian date of an observation: ignored")
                continue
            jd, said = _from_short(key, number, stamps)
            notes += said
        else:
            jd = number
        if JD_RANGE[0] <= jd <= JD_RANGE[1]:
            precision_s = SECONDS_PER_DAY * 10.0 ** -cards.decimals(header, key)
            readings.append(_Reading(key, key, _to_utc(header, key, jd), "UTC" in key, precision_s, is_julian=True))
    return readings, notes


def _from_short(key: str, number: float, stamps: Sequence[_Reading]) -> tuple[float, list[str]]:
    """JD of a number of five digits: MJD or JD - 2400000, by its name unless a stamp fits the other alone."""
    meant, other = (MJD_ZERO, RJD_ZERO) if key.startswith("MJD") else (RJD_ZERO, MJD_ZERO)
    names = {MJD_ZERO: "MJD", RJD_ZERO: "JD - 2400000"}
    for stamp in stamps[:1]:
        if abs(number + other - stamp.jd) < 0.02 < abs(number + meant - stamp.jd):
            return number + other, [f"{key} is taken for {names[other]}, by {stamp.source}"]
    if stamps or key.startswith("MJD"):
        return number + meant, []
    return number + meant, [f"{key} is taken for {names[meant]}: no other card tells"]


def _scale(header: fits.Header, key: str) -> tuple[str, str] | None:
    """The time scale other than UTC that a card is of, as written and by astropy: by TIMESYS, else by its comment."""
    written = (cards.text(header, ("TIMESYS",)) or "").upper()
    if written not in (*SCALES, "UTC", "UT"):
        named = _SCALE.search(cards.comment(header, key))
        written = "UTC" if named is None else named[0].upper()
    return (written, SCALES[written]) if written in SCALES else None


def _to_utc(header: fits.Header, key: str, jd: float) -> float:
    written, scale = _scale(header, key) or ("UTC", None)
    if scale is None:
        return jd
    from astropy.time import Time  # a tenth of a second, for the few headers that are not in UTC

    shift = GPS_TO_TAI_S / SECONDS_PER_DAY if written == "GPS" else 0.0
    return float(Time(jd, shift, format="jd", scale=scale).utc.jd)


def _start(header: fits.Header, reading: _Reading, exposure_s: float, words: Dialect) -> float:
    comment = cards.comment(header, reading.key)
    moment: Moment = words.stamps.get(reading.key, "end" if reading.is_end else "start")
    if not reading.is_end:
        said: tuple[tuple[Moment, re.Pattern[str]], ...] = (("start", _START), ("middle", _MIDDLE), ("end", _END))
        moment = next((one for one, pattern in said if pattern.search(comment)), moment)
    return reading.jd - {"start": 0.0, "middle": 0.5, "end": 1.0}[moment] * exposure_s / SECONDS_PER_DAY
