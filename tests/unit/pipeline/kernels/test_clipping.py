"""Clipped sums of aligned images, and suspects that are taken in."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.kernels.clipping import (
    clipped_sums,
    clipped_sums_reference,
    moved_pixels,
    moved_pixels_reference,
    take_in,
    take_in_reference,
)

SHAPE = (28, 75)


def _images(number: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A star's light, noise, hot pixels, and pixels without a value."""
    y, x = np.indices(SHAPE)
    star = 3000 * np.exp(-((x - 30) ** 2 + (y - 14) ** 2) / 8.0)
    values = rng.normal(star, 10, (number, *SHAPE))
    values[rng.random(values.shape) < 0.02] += 300
    values[rng.random(values.shape) < 0.05] = np.nan
    values[:, 3, 5], values[1:, 20, 60], values[0, 8:12] = np.nan, np.nan, np.nan
    return values.astype(np.float32)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 12])
def test_sums_are_those_of_numpy_to_the_last_bit(number: int, rng: np.random.Generator) -> None:
    values = _images(number, rng)
    limits = (5 * rng.uniform(9, 11, number)).astype(np.float32)
    for found, expected in zip(clipped_sums(values, limits), clipped_sums_reference(values, limits), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_suspects_are_taken_in_as_by_numpy(rng: np.random.Generator) -> None:
    values, limits = _images(4, rng), np.full(4, 50, np.float32)
    where = np.concatenate([rng.integers(0, values[0].size, 200), [3 * SHAPE[1] + 5] * 2, [14 * SHAPE[1] + 30] * 3])
    light = rng.uniform(-100, 4000, where.size).astype(np.float32)
    found, expected = clipped_sums(values, limits), clipped_sums(values, limits)
    before = expected[1].sum()
    take_in(*found, where, light, limits)
    take_in_reference(*expected, where, light, limits)
    assert before < expected[1].sum() < before + where.size
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("tile", [75, 20, 7])
def test_pixels_fall_where_they_do_by_numpy(tile: int, rng: np.random.Generator) -> None:
    known = np.sort(rng.choice(40 * SHAPE[1], 500, replace=False))
    tiles = -(-SHAPE[1] // tile)
    shifts = np.array([[6, -4]]) + rng.integers(0, 2, (tiles, 2))
    found = moved_pixels(known, SHAPE[1], tile, shifts, slice(9, 37))
    expected = moved_pixels_reference(known, SHAPE[1], tile, shifts, slice(9, 37))
    assert 0 < found[0].size < known.size
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
