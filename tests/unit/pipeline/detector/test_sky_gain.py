"""Gains from made-up skies of known gain; what is no photon noise is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.detector.sky_gain import MOST_CORRELATION, gain_of_sky, neighbour_correlation

PIXELS = 20_000  # that tell the noise of a frame
OFFSET = 300.0  # ADU, of a bias that nobody took off


def measured(rng: np.random.Generator, sky: NDArray[np.float64], gain: float) -> tuple[NDArray[np.float64], ...]:
    """Level and rms of frames of this sky (ADU) by the CCD equation, read noise 8 electrons, rounded to ADU."""
    variance = sky / gain + (8.0 / gain) ** 2 + 1 / 12
    return sky + OFFSET, np.sqrt(variance * (1 + rng.normal(0, np.sqrt(2 / PIXELS), sky.size)))


@pytest.mark.parametrize("gain", [0.4, 1.5, 25.0])
def test_the_gain_of_a_sky_that_changes(rng: np.random.Generator, gain: float) -> None:
    for n in (20, 140, 900):
        sky = 400.0 * (1 + 0.4 * np.cos(np.linspace(0, 4, n)))
        found = gain_of_sky(*measured(rng, sky, gain))
        assert found is not None
        assert found.value == pytest.approx(gain, rel=0.1)
        assert abs(found.value - gain) < 4 * found.error


def test_a_sky_that_stands_still_tells_none(rng: np.random.Generator) -> None:
    assert gain_of_sky(*measured(rng, rng.normal(400, 2, 100), 1.5)) is None


def test_noise_that_comes_in_one_half_of_the_night_is_no_photons(rng: np.random.Generator) -> None:
    level, rms = measured(rng, 400.0 * (1 + 0.4 * np.cos(np.linspace(0, 6, 200))), 1.5)
    rms[100:] = np.sqrt(rms[100:] ** 2 + 1.5 * (level[100:] - level[100:].min()))
    assert gain_of_sky(level, rms) is None


def test_noise_of_rounding_tells_none(rng: np.random.Generator) -> None:
    assert gain_of_sky(*measured(rng, 3.0 * (1 + 0.4 * np.cos(np.linspace(0, 4, 100))), 100.0)) is None


def test_interpolated_frames_are_told_by_their_neighbouring_pixels(rng: np.random.Generator) -> None:
    image = rng.normal(0, 5, (300, 300))
    image[40:43, 50:53] += 4000
    image[7, 9] = np.nan
    assert abs(neighbour_correlation(image, 5.0)) < 0.05
    shifted = 0.75 * image + 0.25 * np.roll(image, 1, axis=1)
    assert neighbour_correlation(shifted, 4.0) > MOST_CORRELATION
