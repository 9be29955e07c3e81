"""What the keywords of headers mean: a dialect is a table of data that is laid over the standard."""

import re
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.time_zones import ZoneName

LONGEST_PATTERN = 64  # characters, as many as are looked at of a value

Kind = Literal["bias", "dark", "flat", "light"]
Moment = Literal["start", "middle", "end"]  # of an exposure
Unit = Literal["s", "ms", "us", "min", "h", "d", "mm", "cm", "m", "hours", "degrees", "ADU/e-", "e-/ADU"]
Keyword = Annotated[str, Field(pattern=r"^[A-Z0-9_-][A-Z0-9_ .-]{0,66}$")]
Pattern = Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN)]  # as in a shell: ``*``, ``?``, ``[0-9]``
Keys = tuple[Keyword, ...]
Pairs = tuple[tuple[Keyword, Keyword], ...]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Keywords(_Table):
    """Keywords by the fact that they tell, the first that holds a possible value counts."""

    kind: Keys = ()
    filter: Keys = ()
    target: Keys = ()
    exposure: Keys = ()
    utc: Keys = ()
    start: Keys = ()
    time_of_day: Keys = ()
    end: Keys = ()
    julian_date: Keys = ()
    pointing: Pairs = ()
    latitude: Keys = ()
    longitude: Keys = ()
    elevation: Keys = ()
    sidereal_time: Keys = ()
    hour_angle: Keys = ()
    altitude: Keys = ()
    airmass: Keys = ()
    time_zone: Keys = ()
    local_time: Keys = ()
    camera: Keys = ()
    telescope: Keys = ()
    diameter: Keys = ()
    gain: Keys = ()  # electrons per ADU
    gain_or_setting: Keys = ()  # electrons per ADU of some cameras, a setting of others
    read_noise: Keys = ()
    saturation: Keys = ()
    linearity: Keys = ()
    binning: Pairs = ()
    binning_text: Keys = ()
    temperature: Keys = ()
    offset: Keys = ()
    read_mode: Keys = ()
    colour: Keys = ()
    scale: Keys = ()
    focal_length: Keys = ()
    pixel_size: Pairs = ()
    orientation: Keys = ()  # position angle of +y, degrees from north through east

    def before(self, others: Self, without: Self) -> Self:
        """These, then the others', leaving out ``without``."""
        merged: dict[str, Any] = {}
        for fact in type(self).model_fields:
            own, left_out = getattr(self, fact), getattr(without, fact)
            rest = (key for key in getattr(others, fact) if key not in left_out)
            merged[fact] = tuple(dict.fromkeys((*own, *rest)))
        return type(self)(**merged)


class Dialect(_Table):
    """How one program, camera or observatory writes headers: what differs from the standard."""

    about: Annotated[str, Field(min_length=1, max_length=200)]
    recognised: tuple[dict[Keyword, Pattern], ...] = ()  # by any of these, of each by all of its patterns
    keywords: Keywords = Keywords()  # before those of the standard
    not_keywords: Keywords = Keywords()  # those of the standard that mean something else here
    kinds: dict[Pattern, Kind | Literal["other"]] = {}
    stamps: dict[Keyword, Moment] = {}
    units: dict[Keyword, Unit] = {}  # where neither value nor comment says
    clock_offset_h: Annotated[float, Field(ge=-14.5, le=14.5)] | None = None  # of stamps that do not say: ahead of UTC
    time_zone: ZoneName | None = None  # of these clocks, in place of hours: summer time with it
    gain_is_setting: bool | None = None  # whole numbers in `gain_or_setting`, also small ones
    longitude_positive: Literal["east", "west"] | None = None

    @field_validator("kinds")
    @classmethod
    def _squashed(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {squashed(pattern): kind for pattern, kind in value.items()}

    @model_validator(mode="after")
    def _says_how(self) -> Self:
        if any(not patterns for patterns in self.recognised):
            raise ValueError("recognised: an entry without a keyword would recognise every header")
        return self

    def recognises(self, values: dict[str, str]) -> bool:
        """Whether a header with these values, in upper case by keyword, is written in this dialect."""
        return any(
            all(key in values and fnmatchcase(values[key], pattern.upper()) for key, pattern in way.items())
            for way in self.recognised
        )

    def over(self, base: Self) -> Self:
        """This dialect, and what it does not say as ``base`` says."""
        return self.model_copy(
            update={
                "keywords": self.keywords.before(base.keywords, self.not_keywords),
                "kinds": {**self.kinds, **{key: kind for key, kind in base.kinds.items() if key not in self.kinds}},
                "stamps": base.stamps | self.stamps,
                "units": base.units | self.units,
                **{
                    name: getattr(base, name)
                    for name in ("clock_offset_h", "time_zone", "gain_is_setting", "longitude_positive")
                    if getattr(self, name) is None
                },
            }
        )

    def kind_named(self, written: str) -> Kind | Literal["other"] | None:
        """The kind of a frame whose header names it so; None where the name is not known."""
        name = squashed(written)
        return next((kind for pattern, kind in self.kinds.items() if fnmatchcase(name, pattern)), None)

    @cached_property
    def asked(self) -> frozenset[str]:
        """Keywords by which it is recognised."""
        return frozenset(key for way in self.recognised for key in way)


def squashed(text: str) -> str:
    """Text without case, blanks and punctuation, but for ``*`` and ``?``."""
    return re.sub(r"[^\w*?]|_", "", text.lower())
