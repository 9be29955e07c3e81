"""Coarser pixels and back."""

import numpy as np
import pytest

from pipeline.kernels.binning import (
    binned_sums,
    binned_sums_reference,
    subtract_enlarged,
    subtract_enlarged_reference,
)

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


@pytest.mark.parametrize("shape", [(64, 100), (131, 67), (37, 300)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_slope_is_taken_off_to_the_last_bit_between_the_outermost_centres(shape: tuple[int, int], size: int) -> None:
    y, x = np.indices(shape)
    slope = (2 * y - 3 * x + 10).astype(np.float32)
    image = slope.copy()
    subtract_enlarged(image, binned_sums(slope, size) / np.float32(size**2), size)
    inside = image[size : shape[0] - 2 * size, size : shape[1] - 2 * size]
    np.testing.assert_allclose(inside, 0, atol=1e-3)


def test_beyond_the_outermost_centres_the_coarse_image_goes_on_level() -> None:
    image = np.zeros((11, 10), np.float32)  # three and two pixels more than the coarse ones cover
    subtract_enlarged(image, np.array([[1, 2], [3, 4]], np.float32), 4)
    np.testing.assert_array_equal(image[[0, 0, -1, -1], [0, -1, 0, -1]], [-1, -2, -3, -4])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_sums_are_those_of_numpy_to_the_last_bit(shape: tuple[int, int], size: int, rng: np.random.Generator) -> None:
    image = rng.normal(size=shape).astype(np.float32)
    image[0, 0] = np.nan
    np.testing.assert_array_equal(binned_sums(image, size), binned_sums_reference(image, size))


@pytest.mark.parametrize("shape", [(64, 100), (131, 67), (7, 300)])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_what_is_subtracted_is_that_of_numpy(shape: tuple[int, int], size: int, rng: np.random.Generator) -> None:
    coarse = rng.normal(size=(shape[0] // size, shape[1] // size)).astype(np.float32)
    image, expected = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    subtract_enlarged(image, coarse, size)
    subtract_enlarged_reference(expected, coarse, size)
    np.testing.assert_allclose(image, expected, atol=1e-6)  # of values about 1
