"""Facts that the operator knows of an instrument or a station, beside headers that do not tell them, or before all."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.sky.astrometry.sphere import axes_apart_deg
from services.header_reading import Reading
from services.ingest.headers import FrameFacts
from services.ingest.pixel_scale import ARCSEC_PER_UM_MM
from services.known_instruments import KnownInstrument, KnownStation
from services.place_notes import SAME_AXIS_DEG

SOURCE = "instrument"  # of a gain or a read noise
FACTS = ("gain", "read_noise", "saturation", "linearity", "pixel_scale_arcsec", "diameter_m")
WORDS = {
    **{name: name.replace("_", " ") for name in FACTS},
    "pixel_scale_arcsec": "pixel scale",
    "diameter_m": "telescope's diameter",
}
PLACE = ("site_longitude", "site_latitude", "site_elevation")
SAME = 0.05  # relative; what differs by more is said
SAME_PLACE_DEG = 0.1


def with_known(frames: Sequence[FrameFacts], reading: Reading) -> list[FrameFacts]:
    """The frames with what the tables of their instrument and station tell, and notes where headers tell otherwise.

    A table fills what headers do not tell, or goes before them (``override``). Frames are read again where a table
    changes what it tells of them.
    """
    if not reading.instrument and not reading.station:
        return list(frames)
    return [_told(frame, reading) for frame in frames]


def _told(frame: FrameFacts, reading: Reading) -> FrameFacts:
    name, station = reading.names(frame.instrument, frame.telescope or "")
    told: dict[str, Any] = {}
    notes: list[str] = []
    if name is not None:
        table = reading.instrument[name]
        _add(frame, told, notes, _facts(table, frame.binning, table.focal_length_mm), table.override, name)
        _add_orientation(frame, told, notes, table, name)
    if station is not None:
        place = reading.station[station]
        known = None if name is None else reading.instrument[name]
        facts = {"diameter_m": place.diameter_m} | _scale(known, frame.binning, place.focal_length_mm)
        missing = {fact: value for fact, value in facts.items() if fact not in told}
        _add(frame, told, notes, missing, place.override, station)
        _add_place(frame, told, notes, place, station)
    if not told:
        return replace(frame, notes=(*frame.notes, *notes)) if notes else frame
    for fact in ("gain", "read_noise"):
        if fact in told:
            told[f"{fact}_source"] = SOURCE
    lines = (f"known {fact} {value}" for fact, value in told.items())
    tables = " at ".join(part for part in (name, station) if part)
    header = "\n".join((frame.header, *lines))
    return replace(frame, **told, known=tables, header=header, notes=(*frame.notes, *notes))


def _facts(table: KnownInstrument, binning: str, focal_length_mm: float | None) -> dict[str, float | None]:
    told = {name: getattr(table, name) for name in FACTS if name != "pixel_scale_arcsec"}
    return told | _scale(table, binning, focal_length_mm)


def _scale(table: KnownInstrument | None, binning: str, focal_length_mm: float | None) -> dict[str, float | None]:
    """Arcsec a pixel as it is binned, by the table's scale, else by its pixels and a focal length."""
    if table is None:
        return {}
    scale = table.pixel_scale_arcsec
    if scale is None and table.pixel_size_um is not None and focal_length_mm is not None:
        scale = ARCSEC_PER_UM_MM * table.pixel_size_um / focal_length_mm
    factors = [int(factor) for factor in binning.split("x")]
    return {} if scale is None else {"pixel_scale_arcsec": scale * math.sqrt(math.prod(factors))}


def _add(
    frame: FrameFacts, told: dict[str, Any], notes: list[str], facts: dict[str, float | None], override: bool, name: str
) -> None:
    for fact, value in facts.items():
        if value is None:
            continue
        written = getattr(frame, fact)
        if written is None or override:
            told[fact] = value
        if written is not None and abs(written - value) > SAME * abs(value):
            used = (f"{name!r}", "the header") if override else ("the header", f"{name!r}")
            values = (value, written) if override else (written, value)
            notes.append(
                f"{WORDS[fact]} of {values[0]:g} by {used[0]} is used, {values[1]:g} by {used[1]} is not"
                + ("" if override else "; `override = true` in its table turns that round")
            )


def _add_orientation(
    frame: FrameFacts, told: dict[str, Any], notes: list[str], table: KnownInstrument, name: str
) -> None:
    """The position angle, and whether images are mirrored, which no header tells."""
    if table.mirrored is not None:
        told["mirrored"] = table.mirrored
    written, known = frame.position_angle_deg, table.position_angle_deg
    if known is None:
        return
    if written is None or table.override:
        told["position_angle_deg"] = known
    if written is not None and axes_apart_deg(written, known) > SAME_AXIS_DEG:
        used = f"that of {name!r}" if table.override else "the header's"
        notes.append(f"position angle is {written:g} degrees by the header, {known:g} by {name!r}: {used} is used")


def _add_place(frame: FrameFacts, told: dict[str, Any], notes: list[str], station: KnownStation, name: str) -> None:
    """Longitude and latitude together; a height alone too."""
    written = (frame.site_longitude, frame.site_latitude)
    known = (station.longitude_deg, station.latitude_deg)
    if known[0] is None or known[1] is None:
        known = (None, None)
    else:
        known = ((known[0] + 180.0) % 360.0 - 180.0, known[1])
        is_told = None not in written
        if not is_told or station.override:
            told["site_longitude"], told["site_latitude"] = known
        if is_told and max(abs(a - b) for a, b in zip(written, known, strict=True)) > SAME_PLACE_DEG:  # type: ignore[operator]
            used = f"that of {name!r}" if station.override else "the header's"
            notes.append(
                f"headers place the telescope at {written[0]:.2f} {written[1]:+.2f}, station {name!r} at "
                f"{known[0]:.2f} {known[1]:+.2f}: {used} is used"
            )
    if station.elevation_m is not None and (frame.site_elevation is None or station.override):
        told["site_elevation"] = station.elevation_m
