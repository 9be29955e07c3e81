"""The scatter that nothing can beat, from the truth of a simulated night alone: no number of the pipeline's is used."""

from functools import lru_cache

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter  # type: ignore[attr-defined]

from pipeline.trials.simulation.camera import make_detector
from pipeline.trials.simulation.night_spec import Stream
from pipeline.trials.simulation.psf import Haloed, Moffat, Psf, Ring
from pipeline.trials.simulation.truth import Truth

RESPONSE_SIDE = 7  # px; a star's light falls on about so many

Floats = NDArray[np.float64]


def moffat_fraction(radius: float, fwhm: Floats, beta: float) -> Floats:
    """Share of a Moffat star's light within ``radius`` of its centre: 1 − (1 + r²/α²)^(1−β)."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return np.asarray(1 - (1 + (radius / alpha) ** 2) ** (1 - beta))


def share_within(psf: Psf, radius: float, fwhm: float) -> float:
    """Share of a star's light within ``radius`` of its centre in seeing of ``fwhm``, pixels."""
    if isinstance(psf, Ring):
        return _ring_share(psf, radius, round(fwhm, 1))
    core = float(moffat_fraction(radius, np.array(fwhm), psf.beta))
    if isinstance(psf, Moffat):
        return core
    halo = float(moffat_fraction(radius, np.array(psf.halo_fwhm_px), psf.halo_beta))
    return (1 - psf.share) * core + psf.share * halo


@lru_cache(maxsize=2048)
def _ring_share(psf: Ring, radius: float, fwhm: float) -> float:
    middle = np.array([np.ceil(psf.diameter_px + 6 * fwhm + radius)])
    size = 2 * int(middle[0]) + 1
    ring = psf.draw((size, size), middle, middle, np.array([1e6]), fwhm)
    light, _, _ = sep.sum_circle(ring, middle, middle, radius, subpix=0)
    return float(light[0]) / 1e6


def halo_light(truth: Truth, stars: NDArray[np.int64], i: int) -> Floats:
    """Electrons a pixel at each star that come from the others' halos and wings, float64[stars]."""
    psf = truth.spec.psf
    if not isinstance(psf, Haloed):
        return np.zeros(stars.size)
    (x, y), flux = truth.positions(i), truth.electrons(i)
    distance = np.hypot(x[stars, None] - x, y[stars, None] - y)
    light = np.zeros(distance.shape)
    parts = ((1 - psf.share, float(truth.frames.fwhm[i]), psf.beta), (psf.share, psf.halo_fwhm_px, psf.halo_beta))
    for share, fwhm, beta in parts:
        alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
        light += share * flux * (beta - 1) / (np.pi * alpha**2) * (1 + (distance / alpha) ** 2) ** -beta
    light[np.arange(stars.size), stars] = 0
    return np.asarray(light.sum(axis=1))


def noise_floor(truth: Truth, stars: NDArray[np.int64], frames: NDArray[np.int64], radius: float) -> Floats:
    """Relative standard deviation by the CCD equation of each star on each frame, float64[stars, frames].

    Photon noise of the star's light in the aperture, and of sky and dark current under it, and read noise; no noise of
    the sky's level, of the reference stars, or of the masters.
    """
    spec = truth.spec
    response = uniform_filter(make_detector(spec, spec.generator(Stream.DETECTOR)).response, RESPONSE_SIDE)
    ny, nx = spec.shape
    floor = np.empty((stars.size, frames.size))
    for column, i in enumerate(frames):
        x, y = (values[stars] for values in truth.positions(i))
        rows = np.clip(np.rint(y), 0, ny - 1).astype(int)
        local = response[rows, np.clip(np.rint(x), 0, nx - 1).astype(int)]
        light = truth.electrons(i)[stars] * local * share_within(spec.psf, radius, truth.frames.fwhm[i])
        sky = truth.frames.sky[i] * spec.exposure_s + halo_light(truth, stars, int(i))
        pixel = sky * local + spec.dark_current * spec.exposure_s + spec.read_noise**2
        floor[:, column] = np.sqrt(light + np.pi * radius**2 * pixel) / light
    return floor
