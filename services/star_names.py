"""How settings name a star or a place on the sky: pixels of the first frame, coordinates, or a source id."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

_NUMBER = r"[+-]?\d{1,9}(?:\.\d{0,12})?"
_SIXTIETHS = r":\d{1,2}:\d{1,2}(?:\.\d{0,12})?"
HOUR_DEG = 15.0
STAR_FORMS = {
    "source": re.compile(r"\d{1,12}", re.ASCII),
    "pixels": re.compile(rf"({_NUMBER}),({_NUMBER})", re.ASCII),
    "degrees": re.compile(rf"({_NUMBER})d,({_NUMBER})d", re.ASCII),
    "sexagesimal": re.compile(rf"(\d{{1,2}}{_SIXTIETHS}),([+-]?\d{{1,2}}{_SIXTIETHS})", re.ASCII),
}


def _star(text: str) -> str:
    if not any(form.fullmatch(text) for form in STAR_FORMS.values()):
        raise ValueError(
            f"{text!r} names no star: expected pixels of the first frame (424.5,286), right ascension and declination "
            "(02:04:10.3,+46:41:16 or 31.043d,46.688d) or a source id (17)"
        )
    return text


def _place(text: str) -> str:
    if not any(STAR_FORMS[form].fullmatch(text) for form in ("degrees", "sexagesimal")):
        raise ValueError(f"{text!r} is no place on the sky: expected 02:04:10.3,+46:41:16 or 31.043d,46.688d")
    return text


def place_on_sky(text: str) -> tuple[float, float]:
    """Right ascension (0 to 360) and declination, degrees, of ``02:04:10.3,+46:41:16`` or ``31.043d,46.688d``."""
    if degrees := STAR_FORMS["degrees"].fullmatch(text):
        return float(degrees[1]) % 360.0, float(degrees[2])
    found = STAR_FORMS["sexagesimal"].fullmatch(text)
    assert found is not None, "the text was validated"
    ra, dec = (
        sum(float(part) / 60.0**power for power, part in enumerate(angle.lstrip("+-").split(":")))
        for angle in found.groups()
    )
    return ra * HOUR_DEG % 360.0, -dec if found[2].startswith("-") else dec


PLACES_MOST = 1000  # of one list of forced places
_FORCED = re.compile(
    rf"(?P<name>.{{1,128}})=(?P<ra>{_NUMBER})d,(?P<dec>{_NUMBER})d(?:,(?P<pm_ra>{_NUMBER}),(?P<pm_dec>{_NUMBER}))?",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True)
class NamedPlace:
    """A place on the sky with a name: ``SN 2026abc=31.043d,46.688d``, a proper motion (mas a year) behind if any.

    Attributes:
        name: what it is called.
        radec: degrees, ICRS, in the year 2000.
        motion: mas a year, in right ascension times cos(declination) and in declination.
    """

    name: str
    radec: tuple[float, float]
    motion: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, text: str) -> "NamedPlace":
        """What a text says.

        Raises:
            ValueError: it is no such place.
        """
        found = _FORCED.fullmatch(text)
        if found is None or not found["name"].strip() or not abs(float(found["dec"])) <= 90.0:
            raise ValueError(
                f"{text!r} is no place with a name: expected NAME=31.043d,46.688d, with proper motion (mas a year, "
                "right ascension times cos(declination) first) NAME=31.043d,46.688d,12.5,-3.0"
            )
        motion = float(found["pm_ra"] or 0.0), float(found["pm_dec"] or 0.0)
        return cls(found["name"], (float(found["ra"]) % 360.0, float(found["dec"])), motion)

    def __str__(self) -> str:
        moves = f",{self.motion[0]:.4f},{self.motion[1]:.4f}" if any(self.motion) else ""
        return f"{self.name}={self.radec[0]:.8f}d,{self.radec[1]:.8f}d{moves}"


def _forced(text: str) -> str:
    NamedPlace.of(text)
    return text


ForcedName = Annotated[str, AfterValidator(_forced)]
StarName = Annotated[str, AfterValidator(_star)]
SkyPlace = Annotated[str, AfterValidator(_place)]
