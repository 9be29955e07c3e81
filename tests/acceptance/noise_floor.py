"""The scatter that nothing can beat, from the truth of a simulated night alone: no number of the pipeline's is used."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter  # type: ignore[attr-defined]

from pipeline.simulation.detector import make_detector
from pipeline.simulation.night import Stream
from pipeline.simulation.truth import Truth

RESPONSE_SIDE = 7  # px; a star's light falls on about so many

Floats = NDArray[np.float64]


def moffat_fraction(radius: float, fwhm: Floats, beta: float) -> Floats:
    """Share of a Moffat star's light within ``radius`` of its centre: 1 − (1 + r²/α²)^(1−β)."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return np.asarray(1 - (1 + (radius / alpha) ** 2) ** (1 - beta))


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
        light = truth.electrons(i)[stars] * local * moffat_fraction(radius, truth.frames.fwhm[i], spec.psf_beta)
        pixel = (truth.frames.sky[i] * local + spec.dark_current) * spec.exposure_s + spec.read_noise**2
        floor[:, column] = np.sqrt(light + np.pi * radius**2 * pixel) / light
    return floor
