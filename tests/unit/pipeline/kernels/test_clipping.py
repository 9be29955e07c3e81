"""Clipped sums of aligned images, and suspects that are taken in."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.kernels.clipping import (
    Blocks,
    add_weighted,
    add_weighted_reference,
    clipped_sums,
    clipped_sums_reference,
    moved_pixels,
    moved_pixels_reference,
    moved_rows,
    moved_rows_reference,
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


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8, 12])
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
@pytest.mark.parametrize("pixels", [0, 500])
def test_pixels_fall_where_they_do_by_numpy(tile: int, pixels: int, rng: np.random.Generator) -> None:
    known = np.sort(rng.choice(70 * SHAPE[1], pixels, replace=False))
    blocks = _blocks(tile, 24, rng)
    found, expected = moved_pixels(known, blocks), moved_pixels_reference(known, blocks)
    assert known.size / 2 <= found[1].size <= 2 * known.size
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_pixels_of_which_each_falls_on_many_blocks_have_room(rng: np.random.Generator) -> None:
    known, blocks = np.arange(70 * SHAPE[1]), _blocks(75, 1, rng)
    found, expected = moved_pixels(known, blocks), moved_pixels_reference(known, blocks)
    assert found[1].size > 2 * known.size
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("tile", [75, 20, 7])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_are_those_of_numpy(tile: int, turned: bool, rng: np.random.Generator) -> None:
    blocks = _blocks(tile, 24, rng)
    image = rng.normal(size=blocks.shape).astype(np.float32)
    for block in range(3):
        rows = blocks.reach(block)
        parts = {(0, 70): image}
        start, stop = max(0, rows.start - 6), min(70, rows.stop)  # no shift needs more
        parts[start, stop] = image[70 - stop : 70 - start] if turned else image[start:stop]
        for (first, _), part in parts.items():
            found, expected = np.zeros((2, rows.stop - rows.start, SHAPE[1]), np.float32)
            for into, function in ((found, moved_rows), (expected, moved_rows_reference)):
                function(part, first, turned, blocks, block, into)
            np.testing.assert_array_equal(found, expected)
            assert np.isnan(found).any()
            assert np.isfinite(found).any()


def _blocks(tile: int, rows: int, rng: np.random.Generator) -> Blocks:
    """Of an image of 70 rows: by 5 or 6 px in x and by -5 or -4 in y, that differ from tile to tile."""
    number, tiles = -(-70 // rows), -(-SHAPE[1] // tile)
    return Blocks((70, SHAPE[1]), tile, np.array([5, -5]) + rng.integers(0, 2, (number, tiles, 2)), rows)


def test_weighted_images_add_up_as_by_numpy(rng: np.random.Generator) -> None:
    image = rng.normal(size=SHAPE).astype(np.float32)
    weights = rng.integers(0, 4, SHAPE).astype(np.float32)
    image[weights == 0] = np.nan
    found, expected = (rng.normal(size=(2, *SHAPE)).astype(np.float32) for _ in range(2))
    expected[...] = found
    add_weighted(*found, image, weights)
    add_weighted_reference(*expected, image, weights)
    np.testing.assert_array_equal(found, expected)
