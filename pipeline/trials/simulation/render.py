"""Frames as the camera gives them: bias, dark, flat and light, uint16 in ADU."""

import numpy as np
from numpy.typing import NDArray

from pipeline.trials.simulation.camera import Detector, read_out
from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.truth import Truth

FLAT_SPREAD = 0.2  # twilight fades: the levels of flats differ by up to this fraction from the wanted one
TRAIL_SIGMA = 1 / 2.3548  # of a trail's profile, in FWHM
RAY_PIXELS = (1, 8)  # length of a cosmic ray's track
RAY_CHARGE = (500.0, 30_000.0)  # electrons in all, uniform in the logarithm

Image = NDArray[np.float32]
Counts = NDArray[np.uint16]


def render_bias(spec: NightSpec, detector: Detector, rng: np.random.Generator) -> Counts:
    """A bias frame uint16[ny, nx]."""
    return read_out(np.zeros(spec.shape, dtype=np.float32), detector, spec, rng)


def render_dark(spec: NightSpec, detector: Detector, rng: np.random.Generator) -> Counts:
    """A dark frame uint16[ny, nx], as long as the light frames."""
    expected = detector.dark * np.float32(spec.exposure_s)
    _add_cosmic_rays(expected, spec.cosmic_rays, rng)
    return read_out(expected, detector, spec, rng)


def render_flat(spec: NightSpec, detector: Detector, rng: np.random.Generator) -> Counts:
    """A flat uint16[ny, nx] of the evenly lit twilight sky."""
    level = spec.flat_level * spec.gain * rng.uniform(1 - FLAT_SPREAD, 1 + FLAT_SPREAD)
    expected = detector.response * np.float32(level) + detector.dark * np.float32(spec.flat_exposure_s)
    return read_out(expected, detector, spec, rng)


def render_light(truth: Truth, i: int, detector: Detector, rng: np.random.Generator) -> Counts:
    """Light frame ``i`` uint16[ny, nx]."""
    spec, frames = truth.spec, truth.frames
    expected = _expected_stars(truth, i, rng)
    nx = spec.shape[1]
    slope = np.float32(spec.sky_gradient) * (np.arange(nx, dtype=np.float32) / nx - np.float32(0.5))
    expected += np.float32(frames.sky[i] * spec.exposure_s) * np.maximum(1 + slope, 0)
    if frames.has_trail[i]:
        _add_trail(expected, spec.trail_peak, spec.psf.width(float(frames.fwhm[i])), rng)
    expected *= detector.response
    expected += detector.dark * np.float32(spec.exposure_s)
    _add_cosmic_rays(expected, spec.cosmic_rays, rng)
    return read_out(expected, detector, spec, rng)


def _expected_stars(truth: Truth, i: int, rng: np.random.Generator) -> Image:
    spec, fwhm = truth.spec, float(truth.frames.fwhm[i])
    (x, y), flux = truth.positions(i), truth.electrons(i)
    if truth.frames.is_smeared[i]:
        # The telescope moved along a line: the stars shared out over points half a FWHM apart.
        angle = rng.uniform(0, np.pi)
        n = int(np.ceil(2 * spec.smear_length / fwhm)) + 1
        along = spec.smear_length * (np.arange(n) / max(n - 1, 1) - 0.5)
        x = (x + np.cos(angle) * along[:, None]).ravel()
        y = (y + np.sin(angle) * along[:, None]).ravel()
        flux = np.tile(flux / n, n)
    return spec.psf.draw(spec.shape, x, y, flux, fwhm)


def _add_trail(expected: Image, peak: float, fwhm: float, rng: np.random.Generator) -> None:
    """A straight line through a random point, at a random angle, across the whole frame."""
    ny, nx = expected.shape
    angle, x0, y0 = rng.uniform(0, np.pi), rng.uniform(0, nx), rng.uniform(0, ny)
    x = (np.arange(nx) - x0) * np.sin(angle)
    y = (np.arange(ny) - y0) * np.cos(angle)
    across = (x - y[:, None]).astype(np.float32) / np.float32(fwhm * TRAIL_SIGMA)
    expected += np.float32(peak) * np.exp(-0.5 * across**2)


def _add_cosmic_rays(expected: Image, rate: float, rng: np.random.Generator) -> None:
    """Short straight tracks of charge."""
    ny, nx = expected.shape
    for _ in range(rng.poisson(rate)):
        length = int(rng.integers(*RAY_PIXELS, endpoint=True))
        angle = rng.uniform(0, 2 * np.pi)
        x = np.rint(rng.uniform(0, nx) + np.cos(angle) * np.arange(length)).astype(np.int64)
        y = np.rint(rng.uniform(0, ny) + np.sin(angle) * np.arange(length)).astype(np.int64)
        charge = np.exp(rng.uniform(*np.log(RAY_CHARGE)))
        on = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        np.add.at(expected, (y[on], x[on]), np.float32(charge / length))
