"""Counts that were stored in 16 bits with a sign."""

import numpy as np
import pytest

from pipeline.detector.wrapped import unwrapped


def frame(rng: np.random.Generator, sky: float) -> np.ndarray:
    counts = rng.normal(sky, 10.0, (64, 64))
    counts[30:34, 30:34] += 40_000.0
    return counts.round().astype(np.int64)


@pytest.mark.parametrize("order", ["<i2", ">i2"])
@pytest.mark.parametrize("sky", [5.0, 1000.0, 20_000.0])
def test_bright_stars_that_wrapped_are_restored(rng: np.random.Generator, sky: float, order: str) -> None:
    counts = frame(rng, sky)
    np.testing.assert_array_equal(unwrapped(counts.astype(np.uint16).astype(order)), counts)


def test_noise_around_zero_stays_negative_beside_what_wrapped(rng: np.random.Generator) -> None:
    counts = frame(rng, 0.0)
    assert counts.min() < 0
    np.testing.assert_array_equal(unwrapped(counts.astype(np.int16)), counts)


def test_what_has_not_wrapped_is_left_alone(rng: np.random.Generator) -> None:
    plain = rng.normal(0.0, 20.0, (64, 64)).astype(np.int16)
    blank = np.where(np.eye(64, dtype=bool), np.int16(-32768), plain)
    shifted = (frame(rng, 1000.0) - 32768).astype(np.int16)  # BZERO lost: the bias frames are so too
    for counts in (plain, blank, shifted, frame(rng, 1000.0).astype(np.uint16), plain.astype(np.float32)):
        assert unwrapped(counts) is None
