"""What all frames of an observation tell of where they point, and what tells one header from another."""

import hashlib
from collections.abc import Sequence

import numpy as np

from schema.observing import Observation
from services.frame_geometry import geometry_text
from services.ingest.headers import FrameFacts


def pointings(frames: Sequence[FrameFacts]) -> list[tuple[float, float]]:
    """(ra, dec) in degrees of the frames that tell."""
    return [(f.ra_deg, f.dec_deg) for f in frames if f.ra_deg is not None and f.dec_deg is not None]


def header_digest(frame: FrameFacts) -> str:
    """What tells a corrected header, or a frame that is read out otherwise, from the one that was read before."""
    text = frame.header
    if frame.read is not None and (frame.read.readout is not None or frame.read.words):
        text = "\n".join((text, frame.read.words, geometry_text(frame.read.readout) or ""))
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


def add_hints(observation: Observation, frames: Sequence[FrameFacts], *, anew: bool) -> None:
    """Mean pointing and median pixel scale, for `solve`; what the observation knows already stays but ``anew``."""
    directions = pointings(frames)
    if (anew or observation.ra_deg is None) and directions:
        observation.ra_deg, observation.dec_deg = mean_direction(directions)
    scales = [frame.pixel_scale_arcsec for frame in frames if frame.pixel_scale_arcsec is not None]
    if (anew or observation.pixel_scale_arcsec is None) and scales:
        observation.pixel_scale_arcsec = float(np.median(scales))


def mean_direction(directions: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean of (ra, dec) in degrees, on the sphere: right ascensions on both sides of 0 h average to 0 h."""
    ra, dec = np.radians(np.array(directions, dtype=np.float64)).T
    x, y, z = (np.cos(dec) * np.cos(ra)).mean(), (np.cos(dec) * np.sin(ra)).mean(), np.sin(dec).mean()
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))
