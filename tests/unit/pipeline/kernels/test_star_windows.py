"""Moments under a Gaussian window: the kernel beside NumPy, sep, and true places."""

import numpy as np
import pytest
import sep
from numpy.typing import NDArray

from pipeline.kernels.star_windows import (
    gaussian_moments,
    gaussian_moments_reference,
    windowed_centres,
    windowed_centres_reference,
)
from tests.unit.pipeline.star_fields import StarField, make_field

VARIANCE, REACH = 1.3**2, 6


@pytest.fixture
def field(rng: np.random.Generator) -> StarField:
    """With a pixel without a value beside a star, and stars at the border."""
    xy = np.array([[20.3, 18.8], [40.5, 30.1], [0.2, 39.9], [50.0, 0.0], [30.7, 10.2]])
    made = make_field(rng, (40, 52), xy=xy, flux=np.array([3e4, 2e4, 3e4, 1e4, 4e3]), fwhm=3.0)
    made.image[18, 21] = np.nan
    return made


def places(field: StarField) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the stars are, nearly; one in the dark, one far outside."""
    x, y = (np.append(field.xy[:, axis] + 0.4, (25.0, 900.0)[axis]) for axis in (0, 1))
    return np.append(x, -500.0), np.append(y, 5.0)


def test_moments_are_those_of_numpy(field: StarField) -> None:
    found, expected = (
        function(field.image, *places(field), VARIANCE, REACH)
        for function in (gaussian_moments, gaussian_moments_reference)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)


def test_centres_are_those_of_numpy(field: StarField) -> None:
    x, y = places(field)
    found, expected = (
        function(field.image, x, y, VARIANCE, REACH) for function in (windowed_centres, windowed_centres_reference)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal((found[0][-1], found[1][-1]), (x[-1], y[-1]))  # nothing moves it


def test_centres_are_those_of_sep_and_true(rng: np.random.Generator) -> None:
    field = make_field(rng, (256, 256), xy=np.stack(np.mgrid[20:240:25, 20:240:25], axis=-1).reshape(-1, 2) + 0.31)
    x, y = field.xy.T + 0.5
    found = windowed_centres(field.image, x, y, VARIANCE, REACH)
    by_sep = sep.winpos(np.ascontiguousarray(field.image, np.float32), x, y, np.sqrt(VARIANCE), subpix=0)
    bright = field.flux > 2e4
    np.testing.assert_allclose(np.array(found)[:, bright], np.array(by_sep[:2])[:, bright], atol=2e-3)
    assert np.abs(np.array(found) - field.xy.T)[:, bright].max() < 0.05
