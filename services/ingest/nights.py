"""Which night a frame belongs to: from local noon to local noon, named by the day of its evening."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from pipeline.units import SECONDS_PER_DAY
from services.ingest.headers import FrameFacts

NOON_MARGIN_H = (
    3.0  # no light frame is taken this close to local noon; one that seems to be speaks against the longitude
)
ORDINAL_OF_JD = 1721425  # JD minus proleptic Gregorian ordinal, at noon
JD_OF_UNIX_0 = 2440587.5


def night_of(jd_utc: float, longitude_deg: float | None) -> date:
    """The day on whose local noon the night began; ``longitude_deg`` is positive to the east (None: Greenwich)."""
    return date.fromordinal(math.floor(jd_utc + (longitude_deg or 0.0) / 360.0) - ORDINAL_OF_JD)


def night_longitude(frames: Sequence[FrameFacts]) -> float | None:
    """The longitude whose noon splits no night of these frames, which come from one instrument.

    The header's, if no light frame lies within 3 h of its noon; else the same to the other side, for headers count
    to the west as well; else that whose noon is in the middle of the longest time of day without a light frame.
    Light frames decide, where there are none the others. None if no frame has a time.
    """
    times = [f.jd_utc for f in frames if f.jd_utc is not None and f.kind == "light"]
    times = times or [f.jd_utc for f in frames if f.jd_utc is not None]
    if not times:
        return None
    written = next((f.site_longitude for f in frames if f.site_longitude is not None), None)
    if written is not None:
        for longitude in (written, -written):
            if not _is_cut(times, longitude):
                return longitude
    return _noon_in_longest_gap(times)


def nights_of(frames: Sequence[FrameFacts]) -> dict[Path, date]:
    """The night of each frame.

    A frame without a time takes its header's day, else the night with most frames in its folder, else in all folders
    of its instrument, else that of the oldest modification time in its folder.
    """
    nights: dict[Path, date] = {}
    by_instrument: dict[tuple[str | None, str], list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        by_instrument[frame.telescope, frame.instrument].append(frame)
    for members in by_instrument.values():
        longitude = night_longitude(members)
        for frame in members:
            if frame.jd_utc is not None:
                nights[frame.path] = night_of(frame.jd_utc, longitude)
            elif frame.day is not None:
                nights[frame.path] = frame.day
        undated = [frame for frame in members if frame.path not in nights]
        nights.update(_undated_nights(undated, members, dict(nights)))
    return nights


def _undated_nights(
    undated: Sequence[FrameFacts], members: Sequence[FrameFacts], nights: dict[Path, date]
) -> dict[Path, date]:
    known = [frame.path for frame in members if frame.path in nights]
    everywhere = _commonest(nights[path] for path in known)
    result = {}
    for folder in {frame.path.parent for frame in undated}:
        here = [frame for frame in undated if frame.path.parent == folder]
        night = _commonest(nights[path] for path in known if path.parent == folder) or everywhere
        oldest = JD_OF_UNIX_0 + min(frame.mtime for frame in here) / SECONDS_PER_DAY
        result.update({frame.path: night or night_of(oldest, None) for frame in here})
    return result


def _commonest(nights: Iterable[date]) -> date | None:
    """The most frequent, of equals the earliest."""
    listed = sorted(nights)
    return max(dict.fromkeys(listed), key=listed.count, default=None)


def _is_cut(times: Iterable[float], longitude: float) -> bool:
    since_noon = ((jd + longitude / 360.0) % 1.0 for jd in times)
    return any(min(part, 1.0 - part) * 24.0 < NOON_MARGIN_H for part in since_noon)


def _noon_in_longest_gap(times: Iterable[float]) -> float:
    """Longitude in [-180, 180); JD counts from noon in Greenwich, so its fraction is the time of day from there."""
    parts = sorted({jd % 1.0 for jd in times})
    gaps = [(after - before, before) for before, after in zip(parts, [*parts[1:], parts[0] + 1.0], strict=True)]
    length, before = max(gaps)
    return (-360.0 * (before + length / 2.0) + 180.0) % 360.0 - 180.0
