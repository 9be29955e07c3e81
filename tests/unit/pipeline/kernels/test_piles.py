"""Medians and means of a pile of images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.kernels.piles import (
    add_scaled,
    add_scaled_reference,
    mean_and_scatter,
    mean_and_scatter_reference,
    pile_clipped,
    pile_clipped_reference,
    pile_means,
    pile_means_reference,
    pile_medians,
    pile_medians_reference,
)

SHAPE = (7, 1009)  # more pixels than are looked at together, and no whole number of times


def _pile(rng: np.random.Generator, number: int) -> NDArray[np.float32]:
    """With values that occur more than once, and hits."""
    pile = rng.normal(100.0, 5.0, (number, *SHAPE)).astype(np.float32)
    pile[:, 3] = np.rint(pile[:, 3])
    hit = np.unravel_index(rng.choice(SHAPE[0] * SHAPE[1], 200, replace=False), SHAPE)
    pile[rng.integers(0, number, 200), *hit] += 300.0
    return pile


def _with_holes(pile: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    pile[rng.random(pile.shape) < 0.01] = np.nan
    return pile


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 40])
def test_medians_are_those_of_numpy_to_the_last_bit(number: int, rng: np.random.Generator) -> None:
    pile = _with_holes(_pile(rng, number), rng)
    np.testing.assert_array_equal(pile_medians(pile), pile_medians_reference(pile))


@pytest.mark.parametrize("number", [1, 2, 5, 12])
def test_clipped_means_are_those_of_numpy_to_the_last_bit(number: int, rng: np.random.Generator) -> None:
    pile = _with_holes(_pile(rng, number), rng)
    weights, centres = rng.uniform(0.5, 1.5, number).astype(np.float32), rng.normal(size=number).astype(np.float32)
    limits = np.full(number, 15.0, np.float32)
    limits[0] = 0.0
    found = pile_clipped(pile, pile_medians(pile), weights, centres, limits)
    np.testing.assert_array_equal(found, pile_clipped_reference(pile, pile_medians(pile), weights, centres, limits))


@pytest.mark.parametrize("number", [3, 4, 5, 9])
def test_means_without_the_highest_are_those_of_numpy_to_the_last_bit(number: int, rng: np.random.Generator) -> None:
    pile = _with_holes(_pile(rng, number), rng)
    found = pile_means(pile, 5.0, 5.0)
    assert np.nanmax(found) < 150.0  # the hits are gone
    np.testing.assert_array_equal(found, pile_means_reference(pile, 5.0, 5.0))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_nothing_stands_out_of_infinite_noise(number: int, rng: np.random.Generator) -> None:
    pile = _pile(rng, number)
    expected = pile.mean(axis=0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(pile_means(pile, np.inf, 5.0), expected)


@pytest.mark.parametrize("size", [1, 7, 8, 100_003])
def test_mean_and_scatter_are_those_of_numpy(size: int, rng: np.random.Generator) -> None:
    values = rng.normal(1e4, 3.0, size).astype(np.float32)
    found, expected = mean_and_scatter(values, 1e4 + 1.0), mean_and_scatter_reference(values, 1e4)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-7)


def test_scaled_images_add_up_as_by_numpy(rng: np.random.Generator) -> None:
    image, found = rng.normal(100, 10, (7, 33)).astype(np.float32), rng.normal(size=(7, 33))
    image[2, 3], expected = np.nan, found.copy()
    add_scaled(found, image, 3.7)
    add_scaled_reference(expected, image, 3.7)
    np.testing.assert_array_equal(found, expected)
