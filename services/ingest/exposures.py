"""How long a frame was exposed, in seconds, from all cards that tell it, and what speaks against it."""

import re

from astropy.io import fits

from pipeline.units import SECONDS_PER_DAY
from services.ingest import cards
from services.ingest.dates import parse_stamp
from services.ingest.dialect import Dialect
from services.ingest.dialect_files import STANDARD

SECONDS_IN = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "microsec", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), SECONDS_PER_DAY),
}
UNSAID = {"milliseconds": 1e-3, "microseconds": 1e-6, "minutes": 60.0}  # units that the times of a header can prove
LONGEST_EXPOSURE_S = 7 * SECONDS_PER_DAY
SPAN_SLACK_S, SPAN_SHARE = (
    2.0,
    0.05,
)  # between an exposure and the time from its start to its end: whole seconds, readout


def exposure_time(
    header: fits.Header, words: Dialect = STANDARD, primary: fits.Header | None = None
) -> tuple[float | None, tuple[str, ...]]:
    """Exposure time in seconds (None: no keyword), and notes.

    Of cards that disagree, also of the primary header beside that of an image extension, the one counts that fits the
    time from start to end, else the first. Where no unit is said and only another fits that time, it is that.

    Raises:
        ValueError: there are keywords, and none can be read as a time from 0 s to a week.
    """
    told, unreadable = _told(header, words, primary)
    if not told:
        if unreadable:
            key, value = unreadable[0]
            raise ValueError(f"exposure time {key} = {value!r} cannot be read: expected seconds")
        return None, ()
    span = _span(header, words)
    first = next((key for key, (seconds, _) in told.items() if span is not None and _fits(seconds, span)), None)
    chosen = first or next(iter(told))
    exposure, has_unit = told[chosen]
    notes = [
        f"{key} differs from {chosen}, which is used"
        for key, (seconds, _) in told.items()
        if abs(seconds - exposure) > 0.01 * exposure + 0.001
    ]
    if span is not None and first is None and exposure > 0.0:
        unit = next((unit for unit, factor in UNSAID.items() if _fits(exposure * factor, span)), None)
        if unit is not None and not has_unit and exposure * UNSAID[unit] > SPAN_SLACK_S:
            notes.append(f"{chosen} is taken for {unit}, by the end of the exposure")
            exposure *= UNSAID[unit]
        elif exposure > span + SPAN_SLACK_S:
            notes.append(f"{chosen} is longer than the time from start to end of the exposure in the header")
    return exposure, tuple(notes)


def _told(
    header: fits.Header, words: Dialect, primary: fits.Header | None
) -> tuple[dict[str, tuple[float, bool]], list[tuple[str, object]]]:
    """(seconds, whether a unit is said) by what tells it, and what cannot be read."""
    told, unreadable = {}, []
    places = [(header, "")] + ([] if primary is None else [(primary, " of the primary header")])
    for place, where in places:
        for key in words.keywords.exposure:
            if (value := cards.raw(place, key)) in (None, ""):
                continue
            number = cards.as_number(value, SECONDS_IN)
            unit = _unit(value, cards.comment(place, key)) or words.units.get(key)
            seconds = None if number is None else number * SECONDS_IN[unit or "s"]
            if seconds is not None and 0.0 <= seconds <= LONGEST_EXPOSURE_S:
                told[key + where] = (seconds, unit is not None)
            else:
                unreadable.append((key, value))
    return told, unreadable


def _unit(value: object, comment: str) -> str | None:
    """Behind the value, else in brackets in its comment, else a word that is no second's."""
    behind = re.search(r"[A-Za-z]+$", str(value).strip(), re.ASCII)
    if behind is not None and behind[0].lower() in SECONDS_IN:
        return behind[0].lower()
    bracketed = re.search(r"[\[(]\s*([a-z]+)\s*[\])]", comment, re.ASCII)
    if bracketed is not None and bracketed[1] in SECONDS_IN:
        return bracketed[1]
    word = re.search(r"\b(millisec|microsec|in minutes|in hours|in days|seconds?\b|in (?:ms|us)\b)", comment, re.ASCII)
    return None if word is None else word[1].removeprefix("in ")


def _span(header: fits.Header, words: Dialect) -> float | None:
    """Seconds from the first stamp of the start to that of the end, whatever clock wrote both."""
    moments = []
    for keys in (words.keywords.start, words.keywords.end):
        for key in keys:
            if key in words.stamps and words.stamps[key] == "middle":
                continue
            try:
                stamp = parse_stamp(cards.text(header, (key,)) or "")
                moments.append(stamp.jd_utc())
            except ValueError:
                continue
            break
        else:
            return None
    span = (moments[1] - moments[0]) * SECONDS_PER_DAY
    return span if 0.0 < span <= LONGEST_EXPOSURE_S else None


def _fits(seconds: float, span: float) -> bool:
    return -SPAN_SLACK_S <= span - seconds <= SPAN_SLACK_S + SPAN_SHARE * seconds
