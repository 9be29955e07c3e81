"""Sums over circles, bits within them, and sums of whole pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.kernels.apertures import (
    circle_sums,
    circle_sums_reference,
    disc_sums,
    disc_sums_reference,
    touched_bits,
    touched_bits_reference,
)
from pipeline.stamps import ring_offsets

SHAPE = (80, 97)
RADII = (0.3, 0.5, 1.0, 2.37, 6.0, 15.25)


def _places(rng: np.random.Generator) -> NDArray[np.float64]:
    """Anywhere, and where rounding could matter: on middles, edges and corners of pixels."""
    some = rng.uniform(20, 60, (100, 2))
    return np.vstack([some, np.rint(some[:20]), np.rint(some[:20]) + 0.5, np.rint(some[:20]) + np.array([0.0, 0.5])])


def test_the_sum_of_ones_is_the_area(rng: np.random.Generator) -> None:
    xy = _places(rng)
    sums = circle_sums(np.ones(SHAPE, np.float32), xy, RADII, np.ones((len(xy), len(RADII)), np.bool_))
    np.testing.assert_allclose(sums, np.broadcast_to(np.pi * np.square(RADII), sums.shape), rtol=1e-12)


def test_sums_are_those_of_sep(rng: np.random.Generator) -> None:
    xy, image, radii = _places(rng), rng.normal(1000, 300, SHAPE).astype(np.float32), RADII[2:]
    asked = rng.random((len(xy), len(radii))) < 0.8  # of a circle within one pixel sep takes all of it
    found = circle_sums(image, xy, radii, asked)
    np.testing.assert_allclose(found, circle_sums_reference(image, xy, radii, asked), rtol=1e-10)
    np.testing.assert_array_equal(np.isnan(found), ~asked)


def test_a_circle_may_touch_the_border(rng: np.random.Generator) -> None:
    image = rng.normal(1000, 300, SHAPE).astype(np.float32)
    xy = np.array([[4.5, 4.5], [SHAPE[1] - 5.5, SHAPE[0] - 5.5]])
    inside = np.ones((2, 1), np.bool_)
    found = circle_sums(image, xy, (5.0,), inside)
    np.testing.assert_allclose(found, circle_sums_reference(image, xy, (5.0,), inside), rtol=1e-10)


def test_pixels_without_a_value_matter_only_to_circles_that_need_them() -> None:
    image = np.ones(SHAPE, np.float32)
    image[30, 36] = np.nan
    sums = circle_sums(image, np.array([[30.0, 30.0]]), (5.5, 5.6), np.ones((1, 2), np.bool_))
    assert sums[0, 0] == pytest.approx(np.pi * 5.5**2)
    assert np.isnan(sums[0, 1])


def test_bits_are_those_of_numpy(rng: np.random.Generator) -> None:
    bits = np.where(rng.random(SHAPE) < 0.02, rng.integers(1, 32, SHAPE), 0).astype(np.uint8)
    xy = np.vstack([_places(rng), rng.uniform(-20, 120, (100, 2))])
    np.testing.assert_array_equal(touched_bits(bits, xy, RADII), touched_bits_reference(bits, xy, RADII))


def test_sums_of_whole_pixels_are_those_of_numpy(rng: np.random.Generator) -> None:
    images = rng.normal(1000, 300, SHAPE).astype(np.float32), rng.normal(0, 1, (60, 120)).astype(np.float32)
    for image in images:
        image[rng.random(image.shape) < 0.05] = np.nan
    places = rng.integers(-5, 90, (300, 2)), rng.integers(-5, 90, (300, 2))
    offsets = ring_offsets(0.0, 5.0).pairs
    for found, expected in zip(
        disc_sums(images, places, offsets), disc_sums_reference(images, places, offsets), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
