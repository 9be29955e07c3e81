"""Positions that users type: pixels, sky coordinates, or names."""

import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from services.errors import ConfigurationError
from services.star_names import STAR_FORMS

FORMS = (
    "a place on the sky (31.0428,46.6878 or 02:04:10.3,+46:41:16), pixels of the first frame (424px,286px) or a name "
    "(HAT-P-32)"
)
RADEC_FORMS = "RA,DEC in degrees (31.0428,46.6878) or sexagesimal (02:04:10.3,+46:41:16)"
PIXEL_UNIT = "px"
DEGREE_UNIT = "d"
START_OF_NUMBER = tuple("0123456789+-.")
JD_OF_DAY_0 = 1721424.5  # of date.toordinal(), at midnight

Kind = Literal["pixels", "sky", "either"]


@dataclass(frozen=True)
class Position:
    """A place in pixels (0-based), on the sky (degrees, ICRS), or two plain numbers that may be either.

    motion: on the sky, mas a year since 2000, in right ascension times cos(declination) and in declination.
    """

    first: float
    second: float
    kind: Kind
    motion: tuple[float, float] | None = None

    @property
    def pair(self) -> tuple[float, float]:
        """(x, y) or (ra, dec)."""
        return self.first, self.second

    @property
    def may_be_on_sky(self) -> bool:
        """Whether the numbers are a right ascension and a declination."""
        return self.kind == "sky" or (self.kind == "either" and on_sphere(self.pair))

    def on_night(self, night: date) -> tuple[float, float]:
        """(ra, dec) in a night."""
        if self.motion is None:
            return self.pair
        import numpy as np

        from pipeline.sky.proper_motion import moved

        pm_ra, pm_dec = (np.array([value]) for value in self.motion)
        jd = night.toordinal() + JD_OF_DAY_0
        ra, dec = moved(np.array([self.pair]), pm_ra, pm_dec, np.array([2000.0]), jd)[0].tolist()
        return ra, dec


@dataclass(frozen=True)
class Named:
    """A name, whose place is still to be asked for."""

    name: str


@dataclass(frozen=True)
class SourceId:
    """A star by its id in table `source`."""

    number: int


@dataclass(frozen=True)
class GaiaId:
    """A star by its source_id in Gaia DR3."""

    number: int


Place = Position | SourceId | GaiaId
Star = Place | Named


def on_sphere(radec: tuple[float, float]) -> bool:
    """Whether there is such a place on the sky."""
    return all(map(math.isfinite, radec)) and 0.0 <= radec[0] <= 360.0 and abs(radec[1]) <= 90.0


def parse_pair(text: str, form: str, unit: str = "") -> tuple[float, float]:
    """Two numbers with a comma between; each may have the unit behind it.

    Raises:
        ConfigurationError: it is something else.
    """
    try:
        first, second = (float(part.strip().removesuffix(unit)) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"{text!r} is not {form}: give two numbers with a comma between") from None
    return first, second


def parse_radec(text: str) -> tuple[float, float]:
    """Right ascension and declination as degrees (with or without a d behind), or sexagesimal with hours first.

    Raises:
        ConfigurationError: it is something else.
    """
    if ":" not in text:
        return parse_pair(text, RADEC_FORMS, DEGREE_UNIT)
    from astropy.coordinates import SkyCoord

    try:
        coordinate = SkyCoord(*text.split(","), unit=("hourangle", "deg"))
    except (ValueError, TypeError):
        raise ConfigurationError(f"{text!r} is not RA,DEC: expected hh:mm:ss.s,+dd:mm:ss") from None
    return float(coordinate.ra.deg), float(coordinate.dec.deg)


def parse_target(text: str) -> Position | Named:
    """A target: a place on the sky, pixels, plain numbers that may be either, or a name.

    Raises:
        ConfigurationError: it is none of these.
    """
    given = text.strip()
    parts = [part.strip() for part in given.split(",")]
    if len(parts) == 2 and all(part.endswith(PIXEL_UNIT) for part in parts):
        return Position(*parse_pair(given, FORMS, PIXEL_UNIT), kind="pixels")
    plain = given.replace(" ", "")
    if STAR_FORMS["sexagesimal"].fullmatch(plain) or STAR_FORMS["degrees"].fullmatch(plain):
        return Position(*parse_radec(plain), kind="sky")
    numbers = len(parts) == 2 and all(part[:1] in START_OF_NUMBER for part in parts)
    if any(letter.isalpha() for letter in given) and not numbers:
        return Named(given)
    if ":" in given:
        return Position(*parse_radec(given), kind="sky")
    return Position(*parse_pair(given, FORMS), kind="either")


def pointing(radec: str | None, catalog: Path | None = None) -> dict[str, Any]:
    """Settings by where the telescope pointed and the file of its stars, as they were typed; none where they were not.

    Raises:
        ConfigurationError: it is no place on the sky, or no file.
    """
    sky: dict[str, Any] = {}
    if radec is not None:
        ra, dec = parse_radec(radec)
        sky["solve_radec"] = f"{ra:.8f}d,{dec:.8f}d"
    if catalog is not None:
        if not catalog.is_file():
            raise ConfigurationError(f"--catalog {str(catalog)!r} is no file: expected a table with Gaia's columns")
        sky["catalog_file"] = catalog.absolute()
    return sky
