"""The operator's plan of exposures, a TOML file: what is observed, when, and which frames are taken of it.

``target``, ``radec``, ``start`` and ``end`` are of the whole plan; each ``[[exposures]]`` is some frames alike.
"""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.errors import ConfigurationError
from services.star_names import SkyPlace, place_on_sky

MOST_EXPOSURES = 10_000  # of a plan: one more digit is a slip
LONGEST_EXPOSURE_S = 3600.0
OF_SKY = ("light", "flat")  # kinds of frames that are taken through a filter


def _printable(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ValueError(
            f"{text!r} cannot stand in a FITS header: expected ASCII characters, without blanks around them"
        )
    return text


HeaderText = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]


class Exposures(BaseModel):
    """Some frames that are alike, one after the other."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["light", "bias", "dark", "flat"] = "light"
    filter: HeaderText | None = None  # a name of the filter wheel's
    exposure_s: Annotated[float, Field(ge=0, le=LONGEST_EXPOSURE_S)]
    count: Annotated[int, Field(ge=1, le=MOST_EXPOSURES)] = 1
    binning: Annotated[int, Field(ge=1, le=16)] = 1
    gain: Annotated[int, Field(ge=0, le=1_000_000)] | None = None  # as the camera counts it; None: as it is set

    @model_validator(mode="after")
    def _fit(self) -> "Exposures":
        if self.filter is not None and self.kind not in OF_SKY:
            raise ValueError(f"{self.kind} frames are taken through no filter: leave out filter {self.filter!r}")
        if self.exposure_s == 0.0 and self.kind != "bias":
            raise ValueError(f"{self.kind} frames of 0 s: give exposure_s")
        return self

    @property
    def setting(self) -> str:
        """What is set at the camera, as observations tell it; the gain in electrons is not known before a frame is."""
        return "" if self.gain is None else f"camera-gain {self.gain}"


class ObservingPlan(BaseModel):
    """What an operator wants to be taken. Times are UTC, or say how far they are from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: HeaderText | None = None
    radec: SkyPlace | None = None  # where the telescope points; None: the target is known by its name
    start: AwareDatetime | None = None  # nothing is taken before
    end: AwareDatetime | None = None  # no exposure ends behind it; None: the night's end
    exposures: Annotated[tuple[Exposures, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fit(self) -> "ObservingPlan":
        if self.target is None and any(one.kind == "light" for one in self.exposures):
            raise ValueError("light frames are of a target: name it (target)")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"the end ({self.end}) is not behind the start ({self.start})")
        if (number := sum(one.count for one in self.exposures)) > MOST_EXPOSURES:
            raise ValueError(f"{number} exposures: expected at most {MOST_EXPOSURES}, make several plans")
        return self

    @property
    def place(self) -> tuple[float, float] | None:
        """Right ascension and declination, degrees."""
        return None if self.radec is None else place_on_sky(self.radec)


def read_plan(path: Path) -> ObservingPlan:
    """The plan that stands in a file; times without a zone are UTC.

    Raises:
        ConfigurationError: the file cannot be read, or says what no plan can; the message names each.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in ("start", "end"):
            if isinstance(value := values.get(name), datetime) and value.tzinfo is None:
                values[name] = value.replace(tzinfo=UTC)
        return ObservingPlan.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'plan'}: {one['msg']}" for one in error.errors())
        raise ConfigurationError(f"plan {str(path)!r}: {problems}") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"plan {str(path)!r} cannot be read: {error}") from error
