"""What all frames of an observation tell of where they point, and what tells one header from another."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from schema.observing import Observation, ToldPlace
from services.frame_geometry import geometry_text
from services.ingest.headers import FrameFacts

ONE_AXIS = 0.98  # length of the mean of unit vectors of doubled angles: they scatter by 6 degrees


def pointings(frames: Sequence[FrameFacts]) -> list[tuple[float, float]]:
    """(ra, dec) in degrees of the frames that tell."""
    return [(f.ra_deg, f.dec_deg) for f in frames if f.ra_deg is not None and f.dec_deg is not None]


def header_digest(frame: FrameFacts) -> str:
    """What tells a corrected header, or a frame that is read out otherwise, from the one that was read before."""
    text = frame.header
    if frame.read is not None and (frame.read.readout is not None or frame.read.words):
        text = "\n".join((text, frame.read.words, geometry_text(frame.read.readout) or ""))
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


def add_hints(session: Session, observation: Observation, frames: Sequence[FrameFacts], *, anew: bool) -> None:
    """Mean pointings and median pixel scale, for `solve`; what the observation knows already stays but ``anew``."""
    _add_places(session, observation, frames, anew)
    directions = pointings(frames)
    if (anew or observation.ra_deg is None) and directions:
        observation.ra_deg, observation.dec_deg = mean_direction(directions)
    scales = [frame.pixel_scale_arcsec for frame in frames if frame.pixel_scale_arcsec is not None]
    if (anew or observation.pixel_scale_arcsec is None) and scales:
        observation.pixel_scale_arcsec = float(np.median(scales))
    axes = [frame.position_angle_deg for frame in frames if frame.position_angle_deg is not None]
    if anew or observation.position_angle_deg is None:
        observation.position_angle_deg = mean_axis_deg(axes) if axes else None
    if anew or observation.mirrored is None:
        observation.mirrored = next((frame.mirrored for frame in frames if frame.mirrored is not None), None)


def _add_places(session: Session, observation: Observation, frames: Sequence[FrameFacts], anew: bool) -> None:
    """The mean of each place that the frames tell, the likeliest of most frames first."""
    told: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for frame in frames:
        for rank, place in enumerate(frame.places):
            told[place.keys].append((rank, place.ra, place.dec))
    of_this = ToldPlace.observation_id == observation.observation_id
    if not told or (session.scalar(select(exists().where(of_this))) and not anew):
        return
    session.execute(delete(ToldPlace).where(of_this))
    likeliest = sorted(told.items(), key=lambda item: (min(rank for rank, _, _ in item[1]), -len(item[1])))
    for number, (keys, places) in enumerate(likeliest):
        ra, dec = mean_direction([place[1:] for place in places])
        row = ToldPlace(observation_id=observation.observation_id, number=number, told_by=keys, ra_deg=ra, dec_deg=dec)
        session.add(row)


def mean_axis_deg(angles: Sequence[float]) -> float | None:
    """Mean of position angles in degrees, 0..180; None where the field turns meanwhile, as on a mount in altitude."""
    doubled = np.exp(2j * np.radians(np.array(angles, dtype=np.float64))).mean()
    return float(np.degrees(np.angle(doubled)) / 2.0 % 180.0) if abs(doubled) >= ONE_AXIS else None


def mean_direction(directions: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean of (ra, dec) in degrees, on the sphere: right ascensions on both sides of 0 h average to 0 h."""
    ra, dec = np.radians(np.array(directions, dtype=np.float64)).T
    x, y, z = (np.cos(dec) * np.cos(ra)).mean(), (np.cos(dec) * np.sin(ra)).mean(), np.sin(dec).mean()
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))
