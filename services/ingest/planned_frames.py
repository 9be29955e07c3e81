"""Frames that there will be: the observation that they will belong to, before any of them has a header."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from pipeline.units import SECONDS_PER_DAY
from schema.observing import Observation
from services.ingest.common_facts import add_hints
from services.ingest.coordinates import Pointing
from services.ingest.dialect import Kind
from services.ingest.grouping import EXPOSURE_DIGITS, ObservationKey, night_of
from services.ingest.headers import FrameFacts
from services.ingest.nights import JD_OF_UNIX_0
from services.ingest.observation_rows import observation_row

PLANNED = "plan"  # who told where the telescope points


@dataclass(frozen=True)
class PlannedFrames:
    """Some frames that will be alike, and where they are taken; angles in degrees, longitude east positive."""

    kind: Kind
    target: str | None
    radec: tuple[float, float] | None
    filter: str | None
    exposure_s: float
    binning: int
    setting: str
    instrument: str
    telescope: str
    latitude: float
    longitude: float
    elevation: float
    diameter_m: float | None
    pixel_scale_arcsec: float | None  # of a binned pixel


def night_at(when: datetime, longitude: float) -> date:
    """The night to which a time (UTC) belongs."""
    return night_of(JD_OF_UNIX_0 + when.timestamp() / SECONDS_PER_DAY, longitude)


def planned_observation(session: Session, site_id: int, frames: PlannedFrames, night: date) -> Observation:
    """The observation of these frames in a night, with the hints that their headers will give; made where missing."""
    ra, dec = (None, None) if frames.radec is None else frames.radec
    is_light = frames.kind == "light"
    binning = f"{frames.binning}x{frames.binning}"
    alike = frames.kind in ("bias", "flat")
    key = ObservationKey(
        frames.kind,
        frames.target if is_light else None,
        frames.filter,
        frames.instrument,
        frames.telescope,
        None if alike else float(f"{frames.exposure_s:.{EXPOSURE_DIGITS}g}"),
        binning,
        night,
        frames.setting,
    )
    facts = FrameFacts(
        path=Path(),
        kind=frames.kind,
        target=key.target,
        filter=key.filter,
        instrument=frames.instrument,
        telescope=frames.telescope,
        exposure=frames.exposure_s,
        binning=binning,
        shape=(0, 0),
        start_utc=None,
        jd_utc=None,
        day=night,
        time_source=None,
        gain=None,
        gain_source=None,
        read_noise=None,
        saturation=None,
        ra_deg=ra,
        dec_deg=dec,
        site_latitude=frames.latitude,
        site_longitude=frames.longitude,
        site_elevation=frames.elevation,
        temperature=None,
        header="",
        size=0,
        mtime=0.0,
        diameter_m=frames.diameter_m,
        pixel_scale_arcsec=frames.pixel_scale_arcsec,
        places=() if ra is None or dec is None else (Pointing(PLANNED, ra, dec),),
    )
    observation = observation_row(session, site_id, key, [facts])
    if is_light:
        add_hints(session, observation, [facts], anew=False)
    return observation
