"""Choices: all settings that can change a number. They are fixed when a graph is published, and stored with it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from services.errors import ConfigurationError
from services.star_names import PLACES_MOST, ForcedName, NamedPlace, SkyPlace, StarName

Given = Annotated[str, Field(min_length=1, max_length=4096)]
Magnitudes = Annotated[float, Field(gt=0, le=100)]


GIVEN_MASTERS = tuple(f"{how}_{kind}" for how in ("use", "alt") for kind in ("bias", "dark", "flat"))


class Choices(BaseModel):
    """What an operator chose for a night; units are in the names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    until_step: Given | None = None  # the last step that is made; None: all are

    # Photometry.
    without: tuple[Literal["bias", "dark", "flat"], ...] = ()  # masters to do without, though there are such frames
    # Masters that are taken whatever else there is (use), and where nothing else fits (alt): a process that made one,
    # an observation, or a file; `R=flat_R.fits` for frames of one filter. The first that fits counts.
    use_bias: tuple[Given, ...] = ()
    use_dark: tuple[Given, ...] = ()
    use_flat: tuple[Given, ...] = ()
    alt_bias: tuple[Given, ...] = ()
    alt_dark: tuple[Given, ...] = ()
    alt_flat: tuple[Given, ...] = ()
    master_nights_max: Annotated[int, Field(ge=0, le=100_000)] = 365  # between frames and what they are calibrated with
    master_temperature_c: Annotated[float, Field(ge=0, le=500)] = 5.0  # between darks and frames
    scale_darks: bool = True  # by exposure times, where their bias was taken off
    fan_out: Annotated[int, Field(ge=3, le=10_000)] = 5
    flat_method: Literal["mode", "clipped_mean"] = "clipped_mean"
    # Levels of single flats above the bias, least and greatest, ADU; None: by the range of the camera.
    flat_limits_adu: tuple[Annotated[float, Field(ge=0, le=1e12)], Annotated[float, Field(gt=0, le=1e12)]] | None = None
    # The frame that the others are aligned to: the end of its path, or its number in the order of time, from 0.
    reference_frame: Given | None = None
    relative_methods: tuple[Literal["ensemble", "paper", "manual"], ...] = ("ensemble", "paper")
    detrend_method: Literal["none", "sysrem", "tfa", "trends"] = "none"
    detection_threshold: Annotated[float, Field(gt=0, le=1e6)] = 5.0
    # Pixels, negative ones multiples of each frame's FWHM; None: multiples of the observation's FWHM.
    aperture_radii: tuple[Annotated[float, Field(ge=-1e4, le=1e4)], ...] | None = None
    aperture_sky: Literal["annulus", "global"] = "annulus"
    kron: bool = False  # a Kron flux besides, as the last aperture
    gain: Annotated[float, Field(gt=0, le=1e6)] | None = None  # electrons per ADU, where headers do not tell
    read_noise: Annotated[float, Field(ge=0, le=1e6)] | None = None  # electrons, where headers do not tell
    saturation: Annotated[float, Field(gt=0, le=1e12)] | None = None  # ADU, where headers do not tell
    linearity: Annotated[float, Field(gt=0, le=1e12)] | None = None  # ADU, where headers do not tell
    telescope_diameter_m: Annotated[float, Field(gt=0, le=100)] | None = None  # where headers do not tell

    # The sky: plate solving and the catalogue of stars.
    solve_radec: SkyPlace | None = None  # where the telescope pointed, where headers do not tell or lie
    solve_radius_deg: Annotated[float, Field(gt=0, le=180)] = 3.0  # how far from there the field may be
    pixel_scale_arcsec: Annotated[float, Field(gt=0, le=36_000)] | None = None  # where headers do not tell or lie
    solve_time_s: Annotated[float, Field(gt=0, le=86_400)] = 15.0  # of the search that measuring does not wait for
    catalog: Literal["gaia", "none"] = "gaia"  # Gaia DR3's archive, through the cache
    catalog_file: Path | None = None  # a table with Gaia's column names, instead of the archive
    # Standard bands that filters are brought to, `R=r`; without, by their names (R is Cousins R, clear is none).
    standard_bands: tuple[Given, ...] = ()
    standard_file: Path | None = None  # a table of standard stars, instead of Gaia's relations
    standard_columns: tuple[Given, ...] = ()  # its columns by Tianyu's names, `V=Vmag`
    catalog_mag_limit: Annotated[float, Field(ge=-30, le=50)] = 18.0  # G of the faintest stars that are asked for

    # Stars of the method `manual`: pixels of the first frame "x,y", sky "hh:mm:ss.s,+dd:mm:ss" or "12.3d,-4.5d", or a
    # source id.
    manual_targets: tuple[StarName, ...] = ()
    manual_references: tuple[StarName, ...] = ()
    manual_checks: tuple[StarName, ...] = ()
    manual_match_px: Annotated[float, Field(gt=0, le=1e5)] = 5.0  # between a named position and its source
    manual_match_arcsec: Annotated[float, Field(gt=0, le=648_000)] = 5.0
    # What it picks where nothing is named.
    pick_error_max: Magnitudes = 0.02
    pick_missing_max: Annotated[float, Field(ge=0, lt=1)] = 0.2  # of the good frames
    pick_references: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    pick_scatter_max: Magnitudes = 0.05
    pick_range_max: Magnitudes = 0.1
    pick_target_scatter_min: Magnitudes = 0.05
    # From the field's middle, of half its width and height.
    pick_target_radius: Annotated[float, Field(gt=0, le=10)] = 0.5

    # Where flux is measured whatever is there: NAME=31.043d,46.688d, with a proper motion behind if any.
    forced_places: Annotated[tuple[ForcedName, ...], Field(max_length=PLACES_MOST)] = ()

    @field_validator("aperture_radii")
    @classmethod
    def _radii(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (not value or 0.0 in value or len(set(value)) != len(value)):
            raise ValueError("give at least one radius, none of them zero and each once")
        return value

    @field_validator("reference_frame", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("flat_limits_adu")
    @classmethod
    def _limits(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError("give the least level and then the greatest one")
        return value

    @field_validator("standard_bands", "standard_columns")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            name, sign, what = one.partition("=")
            if not (name.strip() and sign and what.strip()):
                raise ValueError(f"{one!r}: expected NAME=OTHER, such as R=r or V=Vmag")
        if len({one.partition("=")[0].strip() for one in value}) < len(value):
            raise ValueError("name each once")
        return value

    @field_validator("forced_places")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len({NamedPlace.of(one).name for one in value}) < len(value):
            raise ValueError("give each name once")
        return value

    @field_validator("relative_methods")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("name each method once, and at least one; the first is the one that the views show")
        return value

    @field_validator("without")
    @classmethod
    def _in_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    def values(self) -> dict[str, Any]:
        """All choices by their names, as JSON knows them."""
        return self.model_dump(mode="json", include=set(Choices.model_fields))

    def text(self) -> str:
        """Canonical JSON: the same choices give the same text."""
        return canonical(self.values())


def apart(text: str) -> tuple[str, str]:
    """The filter that a master is given for, empty for any, and what is given."""
    name, sign, what = text.partition("=")
    return (name.strip(), what) if sign and what and "/" not in name and not Path(text).exists() else ("", text)


def is_file(what: str) -> bool:
    """Whether a given master is a file: neither a process nor an observation is named."""
    return not (what.isascii() and what.isdigit())


def absolute(text: str) -> str:
    """What is given, a file by its whole path."""
    name, what = apart(text)
    if not is_file(what):
        return text
    path = str(Path(what).absolute())
    return f"{name}={path}" if name else path


def canonical(values: Mapping[str, Any]) -> str:
    """JSON in one form only."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def read_choices(text: str) -> Choices:
    """Choices as they were stored; one that a later version added has its default.

    Raises:
        ConfigurationError: this version does not know a choice, or not its value; the message names each.
    """
    try:
        return Choices.model_validate(json.loads(text))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigurationError("; ".join(problems)) from error
    except ValueError as error:
        raise ConfigurationError(f"no JSON: {error}") from error


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs, a line a choice: ``linearity: not set -> 3000.0``."""
    names = sorted(old.keys() | new.keys())
    pairs = ((name, old.get(name), new.get(name)) for name in names)
    return [f"{name}: {said(before)} -> {said(after)}" for name, before, after in pairs if before != after]


SAID_MOST = 5  # values of a list


def said(value: Any) -> str:
    """A choice's value in words; of a long list its first values."""
    if isinstance(value, list) and len(value) > SAID_MOST:
        return f"{json.dumps(value[:SAID_MOST])} and {len(value) - SAID_MOST} more"
    return "not set" if value is None else str(value) if isinstance(value, str) else json.dumps(value)
