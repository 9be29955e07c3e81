"""Time zones by name: hours that a clock is ahead of UTC at a local time, summer time with it."""

import re
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Annotated

from pydantic import AfterValidator

_FIXED = re.compile(r"(?:UTC?|GMT)\s*(?:(?P<sign>[+-])\s*(?P<h>\d{1,2})(?::?(?P<m>\d{2}))?)?", re.ASCII | re.IGNORECASE)
MOST_H = 14


@cache
def zone_named(name: str) -> tzinfo | None:
    """``America/Santiago``, ``UTC``, ``UTC-4`` or ``GMT+05:30``; None of what is none.

    Abbreviations (EST, IST, CST) are none: several countries share them.
    """
    name = name.strip()
    if (found := _FIXED.fullmatch(name)) is not None:
        hours, minutes = int(found["h"] or 0), int(found["m"] or 0)
        if hours > MOST_H or minutes > 59:
            return None
        ahead = timedelta(hours=hours, minutes=minutes)
        return timezone(-ahead if found["sign"] == "-" else ahead)
    if "/" not in name:
        return None
    known = {one.lower(): one for one in zoneinfo.available_timezones()}
    return zoneinfo.ZoneInfo(known[name.lower()]) if name.lower() in known else None


def ahead_h(zone: tzinfo, local: datetime) -> tuple[float, float]:
    """Hours that a clock is ahead of UTC at a local time without zone, and how much less on its second time there.

    The second is 0 but in the hour that comes twice when clocks are set back.
    """
    first, second = (_hours(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return first, max(first - second, 0.0)


def _hours(moment: datetime) -> float:
    return (moment.replace(tzinfo=UTC) - moment.astimezone(UTC)) / timedelta(hours=1)


def _is_zone(name: str) -> str:
    if zone_named(name) is None:
        raise ValueError(f"{name!r} is no time zone: expected a name such as 'America/Santiago' or 'UTC-4'")
    return name


ZoneName = Annotated[str, AfterValidator(_is_zone)]
