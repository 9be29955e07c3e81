"""Positions that users type: pixels or sky coordinates."""

from dataclasses import dataclass

from services.errors import ConfigurationError

FORMS = "x,y in pixels (424,286) or right ascension and declination (02:04:10.3,+46:41:16)"


@dataclass(frozen=True)
class Position:
    """A place in pixels (0-based) or on the sky (degrees)."""

    first: float
    second: float
    on_sky: bool

    @property
    def pair(self) -> tuple[float, float]:
        """(x, y) or (ra, dec)."""
        return self.first, self.second


def parse_pair(text: str, form: str) -> tuple[float, float]:
    """Two numbers with a comma between.

    Raises:
        ConfigurationError: it is something else.
    """
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"{text!r} is not {form}: give two numbers with a comma between") from None
    return first, second


def parse_radec(text: str) -> tuple[float, float]:
    """Right ascension and declination as degrees, or sexagesimal with hours first.

    Raises:
        ConfigurationError: it is something else.
    """
    if ":" not in text:
        return parse_pair(text, "RA,DEC in degrees (31.0428,46.6878) or sexagesimal (02:04:10.3,+46:41:16)")
    from astropy.coordinates import SkyCoord

    try:
        coordinate = SkyCoord(*text.split(","), unit=("hourangle", "deg"))
    except (ValueError, TypeError):
        raise ConfigurationError(f"{text!r} is not RA,DEC: expected hh:mm:ss.s,+dd:mm:ss") from None
    return float(coordinate.ra.deg), float(coordinate.dec.deg)


def parse_target(text: str) -> Position:
    """A target of `tianyu run`: plain numbers are pixels, numbers with colons are on the sky.

    Raises:
        ConfigurationError: it is neither.
    """
    if ":" in text:
        return Position(*parse_radec(text), on_sky=True)
    return Position(*parse_pair(text, FORMS), on_sky=False)
