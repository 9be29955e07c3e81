"""The night frame by frame: where the telescope pointed, what the air did, and which frames went wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.night_spec import SMALLEST_FWHM, NightSpec
from pipeline.units import SECONDS_PER_DAY

LOWEST_ALTITUDE_DEG = 10.0  # lower, the airmass formula and every telescope give up
CLOUD_GLOW = 0.5  # an opaque cloud brightens the sky by this fraction

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class FrameTable:
    """One row a light frame; every column is an array over frames.

    A star at reference position (x, y) lies on a frame at the position that ``to_frame`` gives: turned by
    ``rotation`` (degrees) about the frame's centre, then moved by (``dx``, ``dy``) pixels. ``transparency`` is the
    light that arrives, relative to airmass 1 and clear sky: extinction, clouds and jitter together. ``fwhm`` is in
    pixels, ``sky`` in electrons per pixel and second. ``good`` frames are neither cloudy nor smeared.
    """

    index: NDArray[np.int64]
    jd_mid: Floats
    dx: Floats
    dy: Floats
    rotation: Floats
    fwhm: Floats
    transparency: Floats
    airmass: Floats
    sky: Floats
    is_cloudy: Bools
    is_smeared: Bools
    has_trail: Bools
    good: Bools


def draw_conditions(spec: NightSpec, rng: np.random.Generator) -> FrameTable:
    """Draw the conditions of every frame.

    Raises:
        UnusableDataError: the field is too low in the sky, or there are fewer frames than accidents.
    """
    n = spec.n_frames
    index = np.arange(n)
    progress: Floats = index / np.float64(max(n - 1, 1))
    jd_mid = spec.start_jd + (index * np.float64(spec.cadence_s) + spec.exposure_s / 2) / SECONDS_PER_DAY
    walk = rng.normal(0, spec.drift_walk, (2, n))
    walk[:, 0] = 0
    dx, dy = np.outer(spec.drift, progress) + np.cumsum(walk, axis=1)
    air = airmass(jd_mid, spec)
    clouds, is_cloudy = _clouds(spec, rng)
    jitter = np.clip(1 + rng.normal(0, spec.transparency_jitter, n), 0, None)
    fwhm = (spec.seeing + spec.seeing_change * progress) / spec.pixel_scale
    fwhm *= 1 + rng.normal(0, spec.seeing_jitter, n)
    is_smeared = _choose(spec.n_smeared, ~is_cloudy, "n_smeared", rng)
    return FrameTable(
        index=index,
        jd_mid=jd_mid,
        dx=dx,
        dy=dy,
        rotation=spec.rotation_deg * progress,
        fwhm=np.maximum(fwhm, SMALLEST_FWHM),
        transparency=10 ** (-0.4 * spec.extinction * (air - 1)) * clouds * jitter,
        airmass=air,
        sky=spec.sky_rate * (1 + CLOUD_GLOW * (1 - clouds)),
        is_cloudy=is_cloudy,
        is_smeared=is_smeared,
        has_trail=_choose(spec.n_trails, ~(is_cloudy | is_smeared), "n_trails", rng),
        good=~(is_cloudy | is_smeared),
    )


def to_frame(x: Floats, y: Floats, frames: FrameTable, i: int, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Positions on frame ``i`` of reference positions, pixels."""
    cy, cx = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    cos, sin = np.cos(np.radians(frames.rotation[i])), np.sin(np.radians(frames.rotation[i]))
    u, v = x - cx, y - cy
    return cx + cos * u - sin * v + frames.dx[i], cy + sin * u + cos * v + frames.dy[i]


def to_reference(x: Floats, y: Floats, frames: FrameTable, i: int, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """The inverse of ``to_frame``."""
    cy, cx = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    cos, sin = np.cos(np.radians(frames.rotation[i])), np.sin(np.radians(frames.rotation[i]))
    u, v = x - cx - frames.dx[i], y - cy - frames.dy[i]
    return cx + cos * u + sin * v, cy - sin * u + cos * v


def airmass(jd: Floats, spec: NightSpec) -> Floats:
    """Airmass of the field (Kasten & Young 1989, Applied Optics 28, 4735), sidereal time to about a second."""
    sidereal = 280.46061837 + 360.98564736629 * (jd - 2451545.0) + spec.longitude_deg
    hour_angle = np.radians(sidereal - spec.ra_deg)
    latitude, declination = np.radians(spec.latitude_deg), np.radians(spec.dec_deg)
    sine = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    altitude = np.degrees(np.arcsin(sine))
    if altitude.min() < LOWEST_ALTITUDE_DEG:
        raise UnusableDataError(
            f"the field sinks to {altitude.min():.0f} degrees above the horizon, expected at least "
            f"{LOWEST_ALTITUDE_DEG:.0f}: change ra_deg, dec_deg, start_jd or the number of frames"
        )
    return np.asarray(1 / (sine + 0.50572 * (altitude + 6.07995) ** -1.6364))


def _clouds(spec: NightSpec, rng: np.random.Generator) -> tuple[Floats, Bools]:
    """Transmission of one bank of clouds, thickest in its middle, and the frames it covers."""
    transmission = np.ones(spec.n_frames)
    is_cloudy = np.zeros(spec.n_frames, dtype=bool)
    n = round(spec.cloudy_fraction * spec.n_frames)
    if n:
        first = int(rng.integers(0, spec.n_frames - n + 1))
        is_cloudy[first : first + n] = True
        profile = np.sqrt(np.sin(np.pi * (np.arange(n) + 0.5) / n)) * rng.uniform(0.9, 1, n)
        transmission[is_cloudy] = 1 - (1 - spec.cloud_transparency) * profile
    return transmission, is_cloudy


def _choose(count: int, allowed: Bools, name: str, rng: np.random.Generator) -> Bools:
    """Mark ``count`` frames among the allowed ones."""
    candidates = np.flatnonzero(allowed)
    if count > candidates.size:
        raise UnusableDataError(
            f"{name} is {count}, but only {candidates.size} frames are free of other accidents: lower it"
        )
    marked = np.zeros(allowed.size, dtype=bool)
    marked[rng.choice(candidates, count, replace=False)] = True
    return marked
