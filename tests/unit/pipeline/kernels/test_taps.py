"""Stamps seen through small kernels, and normal equations for these."""

import numpy as np
import pytest

from pipeline.kernels.taps import tap_grams, tap_grams_reference, with_taps, with_taps_reference

STAMPS, HIGH, WIDE, BORDER = 7, 13, 17, 2


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_light_through_a_kernel_is_that_of_numpy(reach: int, rng: np.random.Generator) -> None:
    light = rng.normal(size=(STAMPS, HIGH, WIDE)).astype(np.float32)
    stamps = rng.normal(size=(STAMPS, HIGH + 2 * BORDER, WIDE + 2 * BORDER)).astype(np.float32)
    weights = rng.normal(size=(STAMPS, 2 * reach + 1, 2 * reach + 1)).astype(np.float32)
    before = light.copy()
    found = with_taps(light, stamps, weights)
    np.testing.assert_allclose(found, with_taps_reference(light, stamps, weights), atol=1e-5)  # sums of 25 about 1
    np.testing.assert_array_equal(light, before)


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_products_are_those_of_numpy(reach: int, rng: np.random.Generator) -> None:
    stamps = rng.normal(size=(STAMPS, HIGH + 2 * BORDER, WIDE + 2 * BORDER)).astype(np.float32)
    weights = rng.uniform(0, 2, (STAMPS, HIGH, WIDE)).astype(np.float32)
    weights[0, 3:5] = 0
    right = rng.normal(size=(STAMPS, HIGH, WIDE)).astype(np.float32)
    found, expected = (each(stamps, weights, right, reach) for each in (tap_grams, tap_grams_reference))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)  # sums of 221 values about 1
