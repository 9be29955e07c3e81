"""Where the telescope points and where it stands, in degrees, from the many ways headers write it."""

import re
from collections.abc import Iterable

from astropy.io import fits

from pipeline.units import HOUR_DEG
from services.ingest import cards

POINTING_KEYS = (
    ("RA", "DEC"),
    ("OBJCTRA", "OBJCTDEC"),
    ("RA_OBJ", "DEC_OBJ"),
    ("OBJRA", "OBJDEC"),
    ("RA_TARG", "DEC_TARG"),
    ("TELRA", "TELDEC"),
)
LATITUDE_KEYS = ("SITELAT", "LATITUDE", "LAT-OBS", "OBSGEO-B", "GEOLAT", "OBSLAT")
LONGITUDE_KEYS = ("SITELONG", "LONGITUD", "LONG-OBS", "OBSGEO-L", "GEOLON", "OBSLONG")
ELEVATION_KEYS = ("SITEELEV", "ELEVATIO", "ALT-OBS", "OBSGEO-H", "GEOELEV", "OBSALT")
ELEVATION_RANGE_M = (-430.0, 9000.0)  # the Dead Sea's shore; mountains, and nothing in orbit

_SEXAGESIMAL = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<d>\d{1,3})\s*[:hd°\s]\s*(?P<m>\d{1,2}(?:\.\d*)?)"
    r"(?:\s*[:m'′\s]\s*(?P<s>\d{1,2}(?:\.\d*)?))?\s*[s\"″m'′]?",
    re.ASCII,
)
_WEST_POSITIVE = re.compile(r"west[^,;]*(\+|positive)|(\+|positive)[^,;]*west")
_EAST_POSITIVE = re.compile(
    r"west[^,;]*negative|negative[^,;]*west|west (is |= ?)?-|east[^,;]*(\+|positive)|(\+|positive)[^,;]*east"
)


def sexagesimal(text: str) -> float | None:
    """``±dd:mm:ss.s``, ``dd mm ss``, ``ddhmmmsss`` or ``dd:mm.m`` as a number of the first unit; None if it is not.

    The sign is that of the text: ``-00:30:00`` is −0.5.
    """
    found = _SEXAGESIMAL.fullmatch(text.strip())
    if found is None:
        return None
    minutes, seconds = float(found["m"]), float(found["s"] or 0.0)
    if minutes >= 60.0 or seconds > 60.0:
        return None
    value = int(found["d"]) + minutes / 60.0 + seconds / 3600.0
    return -value if found["sign"] == "-" else value


def pointing(header: fits.Header) -> tuple[float | None, float | None]:
    """(ra, dec) in degrees of the first pair of keywords that can be read, then of the WCS; else (None, None).

    A number, or text of one number, is in degrees unless its comment says hours; sexagesimal right ascensions are
    hours unless their comment says degrees. A pair of exact zeros is a mount that was not connected.
    """
    for ra_key, dec_key in POINTING_KEYS:
        ra, dec = _angle(header, ra_key, is_hours=True), _angle(header, dec_key, is_hours=False)
        if ra is not None and dec is not None and _is_direction(ra, dec):
            return ra % 360.0, dec
    if str(cards.raw(header, "CTYPE1")).startswith("RA--") and str(cards.raw(header, "CTYPE2")).startswith("DEC-"):
        ra, dec = (cards.as_number(cards.raw(header, key)) for key in ("CRVAL1", "CRVAL2"))
        if ra is not None and dec is not None and _is_direction(ra, dec):
            return ra % 360.0, dec
    return None, None


def pointing_notes(header: fits.Header) -> tuple[str, ...]:
    """Which pairs of numbers are no place on the sky, where no other pair is one."""
    if pointing(header) != (None, None):
        return ()
    notes = []
    for ra_key, dec_key in POINTING_KEYS:
        ra, dec = _angle(header, ra_key, is_hours=True), _angle(header, dec_key, is_hours=False)
        if ra is not None and dec is not None and (ra, dec) != (0.0, 0.0):
            notes.append(f"{ra_key}, {dec_key} of {ra:.4g}, {dec:.4g} degrees are no place on the sky: ignored")
    return tuple(notes)


def _is_direction(ra: float, dec: float) -> bool:
    return -180.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0 and (ra, dec) != (0.0, 0.0)


def _angle(header: fits.Header, key: str, *, is_hours: bool) -> float | None:
    value = cards.raw(header, key)
    comment = cards.comment(header, key)
    plain = cards.as_number(value)
    if plain is not None:
        return plain * HOUR_DEG if is_hours and re.search(r"\bhours?\b|\[h\]", comment) else plain
    parts = sexagesimal(str(value)) if value is not None else None
    if parts is None:
        return None
    return parts * HOUR_DEG if is_hours and not re.search(r"\bdeg", comment) else parts


def latitude_and_elevation(header: fits.Header) -> tuple[float | None, float | None]:
    """Of the site: degrees, and m above the sea; None where absent or unreadable."""
    latitude, _, _ = geographic(header, LATITUDE_KEYS, 90.0)
    elevation, _ = cards.number(header, ELEVATION_KEYS, *ELEVATION_RANGE_M, units=("m",))
    return latitude, elevation


def says_east(comment: str) -> bool:
    """Whether a comment says that a longitude is positive to the east."""
    return _EAST_POSITIVE.search(comment) is not None or ("east" in comment and "west" not in comment)


def says_west(comment: str) -> bool:
    """Whether a comment says that a longitude is positive to the west."""
    if _EAST_POSITIVE.search(comment):
        return False
    return "west" in comment and ("east" not in comment or _WEST_POSITIVE.search(comment) is not None)


def geographic(header: fits.Header, keys: Iterable[str], limit: float) -> tuple[float | None, str | None, bool]:
    """(degrees, key, whether a letter N, S, E or W says the sign)."""
    for key in keys:
        value = cards.raw(header, key)
        degrees, letter = cards.as_number(value), ""
        if degrees is None and isinstance(value, str):
            stripped = value.strip().upper()
            letter = next((c for c in (stripped[:1], stripped[-1:]) if c and c in "NSEW"), "")
            bare = stripped.strip("NSEW ")
            degrees = cards.as_number(bare)
            degrees = sexagesimal(bare.lower()) if degrees is None else degrees
        if degrees is not None and abs(degrees) <= limit:
            return -abs(degrees) if letter and letter in "SW" else degrees, key, bool(letter)
    return None, None, False
