"""Rows of what frames share: observation, target, filter, instrument and the place where the telescope stands."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.observing import Filter, Instrument, Observation, ObsSite, Target
from services.ingest.grouping import ObservationKey
from services.ingest.headers import FrameFacts


def observation_row(session: Session, site_id: int, key: ObservationKey, frames: Sequence[FrameFacts]) -> Observation:
    """The observation of this key at a site, made with all that it names where it is missing."""
    first = frames[0]
    instrument = _get_or_add(session, Instrument, {"name": key.instrument, "telescope": key.telescope})
    diameter = next((f.diameter_m for f in frames if f.diameter_m is not None), None)
    if instrument.diameter_m is None or (diameter is not None and first.known):
        instrument.diameter_m = diameter
    filter_row = _get_or_add(session, Filter, {"name": key.filter or ""})
    located = next((f for f in frames if f.ra_deg is not None and f.dec_deg is not None), first)
    target = _get_or_add(
        session,
        Target,
        {"kind": key.kind, "name": key.target or ""},
        ra_deg=located.ra_deg if key.kind == "light" else None,
        dec_deg=located.dec_deg if key.kind == "light" else None,
    )
    unique = {
        "site_id": site_id,
        "target_id": target.target_id,
        "filter_id": filter_row.filter_id,
        "instrument_id": instrument.instrument_id,
        "exposure_s": key.exposure or 0.0,
        "binning": key.binning,
        "night": key.night,
        "setting": key.setting,
        "reduced": key.reduced,
        "geometry": key.geometry,
    }
    place = _obs_site_id(session, first)
    observation: Observation = _get_or_add(session, Observation, unique, obs_site_id=place, created_at=utc_now())
    if place is not None and (observation.obs_site_id is None or first.known):
        observation.obs_site_id = place
    return observation


def _obs_site_id(session: Session, frame: FrameFacts) -> int | None:
    if frame.site_longitude is None or frame.site_latitude is None:
        return None
    name = f"{frame.site_latitude:+.4f} {frame.site_longitude:+.4f}"
    site = _get_or_add(
        session,
        ObsSite,
        {"name": name},
        longitude_deg=frame.site_longitude,
        latitude_deg=frame.site_latitude,
        elevation_m=frame.site_elevation,
    )
    if frame.site_elevation is not None and (site.elevation_m is None or frame.known):
        site.elevation_m = frame.site_elevation
    return int(site.obs_site_id)


def _get_or_add(session: Session, model: Any, key: dict[str, Any], **more: Any) -> Any:
    """The row with this unique key, made when it is missing."""
    row = session.scalar(select(model).filter_by(**key))
    if row is None:
        row = model(**key, **more)
        session.add(row)
        session.flush()
    return row
