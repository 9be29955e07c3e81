"""Instruments and stations that the operator knows: what headers do not tell of them, or tell wrongly."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.frame_reading import Border, Plane, Source
from services.time_zones import ZoneName

Pattern = Annotated[str, Field(min_length=1, max_length=64)]  # as in a shell: ``*``, ``?``, ``[0-9]``
Positive = Annotated[float, Field(gt=0, le=1e12)]


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    telescope: Pattern = "*"
    override: bool = False  # goes before headers; else it fills what they do not tell

    # Of the telescope.
    diameter_m: Annotated[float, Field(gt=0, le=100)] | None = None
    focal_length_mm: Positive | None = None


class KnownInstrument(_Known):
    """A camera, with its telescope or on any."""

    camera: Pattern | None = None  # None: that of the table's name
    station: str | None = None
    gain: Annotated[float, Field(gt=0, le=1e6)] | None = None  # electrons per ADU
    read_noise: Annotated[float, Field(ge=0, le=1e6)] | None = None  # electrons
    saturation: Positive | None = None  # ADU
    linearity: Positive | None = None  # ADU
    pixel_scale_arcsec: Annotated[float, Field(gt=0, le=36_000)] | None = None  # of a pixel that is not binned
    position_angle_deg: Annotated[float, Field(ge=-360, le=360)] | None = None  # of +y, from north through east
    mirrored: bool | None = None  # east is clockwise of north on the image
    pixel_size_um: Annotated[float, Field(gt=0, le=1000)] | None = None  # not binned: with a focal length, a scale
    # How its frames are read out, in place of the settings of these names.
    trim: Source | None = None
    overscan: Source | None = None
    border_cut: Border | None = None
    colour_planes: tuple[Plane, ...] | None = None


class KnownStation(_Known):
    """Where a telescope stands."""

    camera: Pattern = "*"
    longitude_deg: Annotated[float, Field(ge=-180, le=360)] | None = None  # east positive
    latitude_deg: Annotated[float, Field(ge=-90, le=90)] | None = None
    elevation_m: Annotated[float, Field(ge=-500, le=9000)] | None = None
    clock_offset_h: Annotated[float, Field(ge=-14, le=14)] | None = None  # as the setting of this name
    time_zone: ZoneName | None = None  # as the setting of this name


def instrument_of(known: Mapping[str, KnownInstrument], camera: str, telescope: str) -> str | None:
    """Name of the table that a frame's camera and telescope match: one of the camera's own name before patterns."""
    found = [
        name
        for name, table in known.items()
        if _is_like(telescope, table.telescope) and (name == camera or _is_like(camera, table.camera or name))
    ]
    return camera if camera in found else next(iter(found), None)


def station_of(known: Mapping[str, KnownStation], named: str | None, camera: str, telescope: str) -> str | None:
    """Name of the station that an instrument's table names, else of the first that a frame matches."""
    if named is not None:
        return named
    matching = (n for n, t in known.items() if _is_like(camera, t.camera) and _is_like(telescope, t.telescope))
    return next(matching, None)


def _is_like(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())
