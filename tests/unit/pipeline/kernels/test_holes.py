"""What neighbours tell of a pixel."""

import numpy as np
import pytest

from pipeline.kernels.holes import from_neighbours, from_neighbours_reference


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 3), (60, 83)])
def test_values_are_those_of_numpy_to_the_last_bit(
    shape: tuple[int, int], share: float, rng: np.random.Generator
) -> None:
    image, masked = rng.normal(100, 10, shape).astype(np.float32), rng.random(shape) < share
    image[masked] = np.nan
    where = np.arange(image.size)  # good pixels too, as those that a hole's rim is told by
    found = from_neighbours(image, masked, where)
    np.testing.assert_array_equal(found, from_neighbours_reference(image, masked, where))
    bits = np.where(masked, rng.integers(1, 8, shape), 0).astype(np.uint8)
    some = image, bits, where, 0x05
    np.testing.assert_array_equal(from_neighbours(*some), from_neighbours_reference(*some))


def test_a_lone_hole_in_a_paraboloid_is_filled_with_its_value() -> None:
    y, x = np.mgrid[:7, :9]
    image = (3.0 + 0.5 * x - y + 0.25 * x**2 - 0.125 * y**2).astype(np.float32)
    masked = np.zeros(image.shape, np.bool_)
    masked[3, 4] = True
    np.testing.assert_allclose(from_neighbours(image, masked, np.flatnonzero(masked)), image[3, 4], rtol=1e-6)
