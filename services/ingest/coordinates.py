"""Where the telescope points and where it stands, in degrees, from the many ways headers write it."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from astropy.io import fits

from pipeline.units import ARCSEC, HOUR_DEG
from services.ingest import cards
from services.ingest.dialect import Dialect
from services.ingest.dialect_files import STANDARD
from services.ingest.pixel_scale import pixel_scale

SAME_POINTING_DEG = 1.0  # the worst mounts, and places of date beside places of 2000
SOLVED = 3  # votes of a WCS with a scale
MOST_HOURS = 24.0
SCALED = ("CD1_1", "CD1_2", "CDELT1")
ELEVATION_RANGE_M = (-430.0, 9000.0)  # the Dead Sea's shore; mountains, and nothing in orbit

_SEXAGESIMAL = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<d>\d{1,3})\s*[:hd°\s]\s*(?P<m>\d{1,2}(?:\.\d*)?)"
    r"(?:\s*[:m'′\s]\s*(?P<s>\d{1,2}(?:\.\d*)?))?\s*[s\"″m'′]?",
    re.ASCII,
)
_NAMES_UNIT = re.compile(r"\bhours?\b|\[h\]|\bdeg")
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


class Pointing(NamedTuple):
    """A place on the sky that a header tells, degrees, and by which cards."""

    keys: str
    ra: float
    dec: float
    counts: int = 1  # whether it is believed against another: a WCS with a scale was most likely solved

    def __str__(self) -> str:
        return f"{self.keys} ({self.ra:.0f}, {self.dec:+.0f})"


def pointing(header: fits.Header, words: Dialect = STANDARD) -> tuple[float | None, float | None]:
    """(ra, dec) in degrees of the likeliest of ``places``, (None, None) where no pair of cards can be read."""
    return next(((one.ra, one.dec) for one in places(header, words)), (None, None))


def places(header: fits.Header, words: Dialect = STANDARD) -> tuple[Pointing, ...]:
    """All different places that a header tells, the likeliest first; right ascensions from 0 to 360.

    A number, or text of one number, is in degrees unless its comment says hours, or another pair agrees with it in
    hours; sexagesimal right ascensions are hours unless their comment says degrees. A pair of exact zeros is a mount
    that was not connected. Of pairs that disagree those count on which most agree; a WCS with a scale goes before two
    others, which mounts and programs write from one wrong source. A number that may be hours as well is told twice.
    """
    told = _told(header, words)
    if not told:
        return ()
    tolerance = _tolerance_deg(header, words)
    found = [_chosen(told, tolerance)]
    for one in (*told, *(_as_hours(one) for one in told if _may_be_hours(one, header, words))):
        if all(_apart(one, other) > tolerance for other in found):
            found.append(one)
    return tuple(one._replace(ra=one.ra % 360.0) for one in found)


def _told(header: fits.Header, words: Dialect) -> list[Pointing]:
    """All places that the header tells; the first is that of the mount, in the order of the keywords."""
    found = []
    for ra_key, dec_key in words.keywords.pointing:
        ra, dec = _angle(header, ra_key, words, is_hours=True), _angle(header, dec_key, words, is_hours=False)
        if ra is not None and dec is not None and _is_direction(ra, dec):
            found.append(Pointing(f"{ra_key}, {dec_key}", ra, dec))
    if str(cards.raw(header, "CTYPE1")).startswith("RA--") and str(cards.raw(header, "CTYPE2")).startswith("DEC-"):
        ra, dec = (cards.as_number(cards.raw(header, key)) for key in ("CRVAL1", "CRVAL2"))
        if ra is not None and dec is not None and _is_direction(ra, dec):
            has_scale = any(cards.as_number(cards.raw(header, key)) for key in SCALED)
            found.append(Pointing("CRVAL1, CRVAL2", ra, dec, SOLVED if has_scale else 1))
    if len(found) < 2:
        return found
    tolerance = _tolerance_deg(header, words)
    return [_in_degrees(one, [other for other in found if other is not one], header, tolerance) for one in found]


def _in_degrees(one: Pointing, others: Sequence[Pointing], header: fits.Header, tolerance: float) -> Pointing:
    """Hours where the number agrees with another place in hours and not in degrees."""
    key = one.keys.partition(",")[0]
    if one.ra > MOST_HOURS or cards.as_number(cards.raw(header, key)) is None:
        return one
    as_hours = _as_hours(one)
    in_degrees, in_hours = (any(_apart(place, other) <= tolerance for other in others) for place in (one, as_hours))
    return as_hours if in_hours and not in_degrees else one


def _as_hours(one: Pointing) -> Pointing:
    return one._replace(keys=f"{one.keys} in hours", ra=one.ra * HOUR_DEG)


def _may_be_hours(one: Pointing, header: fits.Header, words: Dialect) -> bool:
    """Whether a right ascension is a plain number of which neither its comment nor the dialect says the unit."""
    key = one.keys.partition(",")[0]
    return (
        key not in ("CRVAL1", *words.units)
        and not one.keys.endswith("in hours")
        and 0.0 <= one.ra < MOST_HOURS
        and cards.as_number(cards.raw(header, key)) is not None
        and not _NAMES_UNIT.search(cards.comment(header, key))
    )


def _chosen(told: Sequence[Pointing], tolerance: float) -> Pointing:
    """The place on which most agree; of as many the first."""
    votes = [sum(other.counts for other in told if _apart(one, other) <= tolerance) for one in told]
    return told[votes.index(max(votes))]


def _apart(one: Pointing, other: Pointing) -> float:
    return 0.0 if one[1:3] == other[1:3] else apart_deg(one[1:3], other[1:3])


def apart_deg(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Degrees on the sphere between two places, (ra, dec) in degrees."""
    ra, dec, other_ra, other_dec = map(math.radians, (*one, *other))
    between = other_ra - ra
    # As `pipeline.sky.astrometry.sphere.separation_arcsec`, which takes twenty times as long for one pair.
    sine = math.hypot(
        math.cos(other_dec) * math.sin(between),
        math.cos(dec) * math.sin(other_dec) - math.sin(dec) * math.cos(other_dec) * math.cos(between),
    )
    cosine = math.sin(dec) * math.sin(other_dec) + math.cos(dec) * math.cos(other_dec) * math.cos(between)
    return math.degrees(math.atan2(sine, cosine))


def _tolerance_deg(header: fits.Header, words: Dialect) -> float:
    """How far places of one pointing may be apart: CRVAL may lie in a corner of the field."""
    scale, _ = pixel_scale(header, "1x1", words)
    sides = [cards.as_number(cards.raw(header, key)) or 0.0 for key in ("NAXIS1", "NAXIS2")]
    return max(SAME_POINTING_DEG, math.hypot(*sides) * (scale or 0.0) / ARCSEC)


def pointing_notes(header: fits.Header, words: Dialect = STANDARD) -> tuple[str, ...]:
    """Which pairs of numbers are no place on the sky, where no other pair is one; else which disagree."""
    told = _told(header, words)
    if len(told) == 1:
        return ()
    if told:
        tolerance = _tolerance_deg(header, words)
        chosen = _chosen(told, tolerance)
        return tuple(
            f"{other} and {chosen} are different places: the latter is used until the stars tell, or solve_radec is set"
            for other in told
            if _apart(other, chosen) > tolerance
        )
    notes = []
    for ra_key, dec_key in words.keywords.pointing:
        ra, dec = _angle(header, ra_key, words, is_hours=True), _angle(header, dec_key, words, is_hours=False)
        if ra is not None and dec is not None and (ra, dec) != (0.0, 0.0):
            notes.append(f"{ra_key}, {dec_key} of {ra:.4g}, {dec:.4g} degrees are no place on the sky: ignored")
    return tuple(notes)


def _is_direction(ra: float, dec: float) -> bool:
    return -180.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0 and (ra, dec) != (0.0, 0.0)


def _angle(header: fits.Header, key: str, words: Dialect, *, is_hours: bool) -> float | None:
    value = cards.raw(header, key)
    comment = cards.comment(header, key)
    if not _NAMES_UNIT.search(comment):
        comment = words.units.get(key, "")
    plain = cards.as_number(value)
    if plain is not None:
        return plain * HOUR_DEG if is_hours and re.search(r"\bhours?\b|\[h\]", comment) else plain
    parts = sexagesimal(str(value)) if value is not None else None
    if parts is None:
        return None
    return parts * HOUR_DEG if is_hours and not re.search(r"\bdeg", comment) else parts


def latitude_and_elevation(header: fits.Header, words: Dialect = STANDARD) -> tuple[float | None, float | None]:
    """Of the site: degrees, and m above the sea; None where absent or unreadable."""
    latitude, _, _ = geographic(header, words.keywords.latitude, 90.0)
    elevation, _ = cards.number(header, words.keywords.elevation, *ELEVATION_RANGE_M, units=("m",))
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
