"""Coarser pixels."""

import numpy as np
import pytest

from pipeline.kernels.binning import binned_sums, binned_sums_reference

SHAPES = [(2, 2), (5, 9), (64, 100), (131, 67), (7, 300)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 2])
def test_sums_are_those_of_the_whole_coarse_pixels(shape: tuple[int, int], size: int, rng: np.random.Generator) -> None:
    image = rng.normal(size=shape).astype(np.float32)
    ny, nx = shape[0] // size, shape[1] // size
    expected = image[: ny * size, : nx * size].reshape(ny, size, nx, size).sum(axis=(1, 3))
    np.testing.assert_allclose(binned_sums(image, size), expected, rtol=1e-5, atol=1e-5)


def test_a_coarse_pixel_without_a_value_has_none() -> None:
    image = np.ones((80, 80), np.float32)
    image[41, 7] = np.nan
    (bad,) = np.argwhere(np.isnan(binned_sums(image, 4)))
    np.testing.assert_array_equal(bad, (10, 1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_sums_are_those_of_numpy_to_the_last_bit(shape: tuple[int, int], size: int, rng: np.random.Generator) -> None:
    image = rng.normal(size=shape).astype(np.float32)
    image[0, 0] = np.nan
    np.testing.assert_array_equal(binned_sums(image, size), binned_sums_reference(image, size))
