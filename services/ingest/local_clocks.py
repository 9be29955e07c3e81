"""The time zone of an observatory's clock, as operator or header name it, and how far it is ahead of UTC."""

from datetime import datetime, timedelta, tzinfo

from astropy.io import fits

from services.ingest import cards
from services.ingest.dialect import Dialect
from services.time_zones import ahead_h, zone_named

J2000, J2000_JD = datetime(2000, 1, 1, 12), 2451545.0
LOCAL_SYSTEMS = ("LOCAL", "LT", "LOCAL TIME", "LOCALTIME")  # in TIMESYS, against the standard
TWICE_NOTE = "in the hour that comes twice when clocks are set back: taken for the first time"


def zone_of(header: fits.Header, words: Dialect) -> tuple[str, tzinfo] | None:
    """The time zone that the operator or the header names; a bare number is none, for its sign is not known."""
    names = (words.time_zone, *(cards.text(header, (key,)) for key in words.keywords.time_zone))
    return next(((name, zone) for name in names if name and (zone := zone_named(name)) is not None), None)


def ahead_of_utc(zone: tzinfo, local_jd: float) -> tuple[float, float]:
    """As ``ahead_h``, at a local time as a Julian date."""
    return ahead_h(zone, J2000 + timedelta(days=local_jd - J2000_JD))
