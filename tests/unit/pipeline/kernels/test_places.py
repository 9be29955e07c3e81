"""Where an image has what few of its pixels have."""

import numpy as np
import pytest

from pipeline.kernels.places import marked_places, marked_places_reference, nan_places, nan_places_reference

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
