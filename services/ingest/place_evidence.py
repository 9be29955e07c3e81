"""What a header says that depends on the sign of its longitude: sidereal time, hour angle, altitude, airmass, clock."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from astropy.io import fits

from pipeline.units import HOUR_DEG, SECONDS_PER_DAY
from services.ingest import cards
from services.ingest.coordinates import geographic, says_east, says_west, sexagesimal
from services.ingest.dates import parse_stamp
from services.ingest.dialect import Dialect
from services.ingest.dialect_files import STANDARD

MOST_AIRMASS = 10.0
QUARTER_HOUR_S = 900.0
CLOCK_SLACK_S = 240.0  # beyond the exposure: between a clock's stamp and the nearest quarter of an hour from UTC
LARGEST_OFFSET_S = 14.5 * 3600.0

IN_METRES = re.compile(r"\bm\b|met(re|er)|sea")

_AMERICAN = re.compile(r"(\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}:\d{2}(?:\.\d*)? [AP]M)(?: DST| STD)?", re.IGNORECASE)


@dataclass(frozen=True)
class PlaceEvidence:
    """A longitude as written (degrees, as if positive to the east), who says what its sign means, and what hangs on it.

    Angles in degrees, None where the header does not tell; ``told_by`` says why ``told_east``, the longitude east
    positive from -180 to 180, is not a guess.
    """

    key: str
    written: float
    told_by: Literal["letter", "comment"] | None
    told_east: float
    sidereal: float | None = None
    hour_angles: tuple[float, ...] = ()  # of one card, in either unit that it may have
    altitude: float | None = None
    airmass: float | None = None
    clock_offset_s: float | None = None
    is_west_software: bool = False


def place_evidence(
    header: fits.Header,
    start_utc: float | None,
    exposure_s: float,
    utc_offset_s: int | None,
    words: Dialect = STANDARD,
) -> PlaceEvidence | None:
    """What the header of one frame says; None without a longitude."""
    written, key, has_letter = geographic(header, words.keywords.longitude, 360.0)
    if written is None or key is None:
        return None
    comment = cards.comment(header, key)
    told: Literal["letter", "comment"] | None = "letter" if has_letter else None
    if told is None and (says_west(comment) or says_east(comment)):
        told = "comment"
    east = -written if not has_letter and says_west(comment) else written
    airmass, _ = cards.number(header, words.keywords.airmass, 1.0, MOST_AIRMASS)
    offset = float(utc_offset_s) if utc_offset_s is not None else _clock_offset(header, start_utc, exposure_s, words)
    sidereal = _angles(header, words.keywords.sidereal_time)
    return PlaceEvidence(
        key=key,
        written=written,
        told_by=told,
        told_east=(east + 180.0) % 360.0 - 180.0,
        sidereal=sidereal[0] if sidereal else None,
        hour_angles=_angles(header, words.keywords.hour_angle),
        altitude=_altitude(header, words),
        airmass=airmass,
        clock_offset_s=offset,
        is_west_software=words.longitude_positive == "west",
    )


def _angles(header: fits.Header, keys: tuple[str, ...]) -> tuple[float, ...]:
    """The first card's angle in degrees: hours first, as sexagesimal text always is; a plain number may be either."""
    for key in keys:
        value = cards.raw(header, key)
        number = cards.as_number(value)
        if number is not None and abs(number) <= 360.0:
            return (number * HOUR_DEG, number) if abs(number) <= 24.0 else (number,)
        if isinstance(value, str) and (parts := sexagesimal(value)) is not None:
            return (parts * HOUR_DEG,)
    return ()


def _altitude(header: fits.Header, words: Dialect) -> float | None:
    """Of the pointing, not of the site above the sea."""
    for key in words.keywords.altitude:
        value = cards.raw(header, key)
        number = cards.as_number(value, ("deg",))
        number = sexagesimal(value) if number is None and isinstance(value, str) else number
        if number is not None and 0.0 <= number <= 90.0 and not IN_METRES.search(cards.comment(header, key)):
            return number
    return None


def _clock_offset(header: fits.Header, start_utc: float | None, exposure_s: float, words: Dialect) -> float | None:
    """Seconds that the observatory's clock is ahead of UTC, where a card has its time: whole quarters of an hour."""
    if start_utc is None:
        return None
    for key in words.keywords.local_time:
        local = _local_jd(cards.text(header, (key,)))
        if local is None:
            continue
        offset = (local - start_utc) * SECONDS_PER_DAY
        whole = round(offset / QUARTER_HOUR_S) * QUARTER_HOUR_S
        if abs(whole) <= LARGEST_OFFSET_S and abs(offset - whole) <= CLOCK_SLACK_S + min(exposure_s, CLOCK_SLACK_S):
            return whole
    return None


def _local_jd(written: str | None) -> float | None:
    if written is None:
        return None
    try:
        stamp = parse_stamp(written)
        return None if stamp.time is None or stamp.time.offset_s is not None else stamp.jd_utc()
    except ValueError:
        pass
    if (found := _AMERICAN.fullmatch(written)) is None:
        return None
    try:
        moment = datetime.strptime(found[1].split(".")[0].upper(), "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC)
    except ValueError:
        return None
    jd = 2440587.5 + moment.timestamp() / SECONDS_PER_DAY
    return jd if math.isfinite(jd) else None
