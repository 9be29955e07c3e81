"""How settings name a star or a place on the sky: pixels of the first frame, coordinates, or a source id."""

import re
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


StarName = Annotated[str, AfterValidator(_star)]
SkyPlace = Annotated[str, AfterValidator(_place)]
