"""Where an image has what few of its pixels have."""

import numpy as np
import pytest

from pipeline.kernels.places import (
    marked_places,
    marked_places_reference,
    nan_places,
    nan_places_reference,
    places_reaching,
    places_reaching_reference,
)

SHAPES = [(0, 4), (1, 1), (7, 9), (8, 8), (300, 517)]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])  # of the largest there is no room for all at first
@pytest.mark.parametrize("shape", SHAPES)
def test_places_are_those_of_numpy(shape: tuple[int, int], share: float, rng: np.random.Generator) -> None:
    mask = rng.random(shape) < share
    np.testing.assert_array_equal(marked_places(mask), np.flatnonzero(mask))
    bits = rng.integers(0, 256, shape, np.uint8) * mask
    for some in (0x01, 0x84, 0xFF):
        np.testing.assert_array_equal(marked_places(bits, some), marked_places_reference(bits, some))
    image = np.where(mask, np.float32(np.nan), rng.normal(size=shape).astype(np.float32))
    np.testing.assert_array_equal(nan_places(image), nan_places_reference(image))


def test_places_of_a_part_are_its_own(rng: np.random.Generator) -> None:
    mask = rng.random((40, 50)) < 0.1
    np.testing.assert_array_equal(marked_places(mask[3:, ::2]), np.flatnonzero(mask[3:, ::2]))


def test_infinite_pixels_have_a_value() -> None:
    assert nan_places(np.array([[np.inf, np.nan, -np.inf]], np.float32)).tolist() == [1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("level", [0.0, -3.5, 99.0, 99.00000001, 98.99999999, 127.3, 70000.0, np.inf, np.nan])
def test_places_that_reach_a_level_are_those_of_numpy(
    shape: tuple[int, int], dtype: str, level: float, rng: np.random.Generator
) -> None:
    values = rng.integers(0, 128, shape).astype(dtype)
    found = places_reaching(values, level)
    np.testing.assert_array_equal(found, places_reaching_reference(values, level))
    np.testing.assert_array_equal(found, np.flatnonzero(values.astype("f8") >= level))
