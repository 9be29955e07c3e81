"""Limits of flats go with the range of the camera, and are asked of counts alone."""

import numpy as np
import pytest

from pipeline.detector.flat_levels import flat_limits, full_scale

SHAPE = (60, 70)


def flat(rng: np.random.Generator, level: float) -> np.ndarray:
    return rng.normal(level, level**0.5, SHAPE).astype(np.uint16)


def is_taken(level: float, top: float | None, *, is_told: bool = False) -> bool:
    assert top is not None
    low, high = flat_limits(top, is_told=is_told)
    return low <= level <= high


@pytest.mark.parametrize(
    ("level", "saturation", "taken"),
    [
        (4_000, 65_535, False),
        (30_000, 65_535, True),
        (54_000, 65_535, False),
        (54_000, None, False),
        (2_000, 4_095, True),  # twelve bits
        (250, 4_095, False),
        (3_500, 4_095, False),
        (2_000, None, True),
        (8_000, 16_383, True),
        (14_000, 16_383, False),
        (13_000, None, True),  # of sixteen bits, for all that is known
        (30_000, 1e6, True),  # told in electrons, of 16-bit pixels
    ],
)
def test_limits_go_with_the_range(rng: np.random.Generator, level: int, saturation: float | None, taken: bool) -> None:
    top = full_scale(flat(rng, level), saturation)
    assert is_taken(level, top, is_told=saturation is not None) is taken


@pytest.mark.parametrize(("step", "level", "top"), [(16, 3_900, 65_520), (16, 30_000, 65_520), (4, 12_000, 65_532)])
def test_steps_of_counts_tell_the_range_that_a_faint_flat_does_not(
    rng: np.random.Generator, step: int, level: int, top: float
) -> None:
    """Counts of 12 or 14 bits, written times 16 or 4, below the top of fewer bits."""
    padded = (flat(rng, level) // step * step).astype(np.uint16)
    assert full_scale(padded) == top
    assert is_taken(level, full_scale(padded)) is (level > 5_000)


def test_a_flat_that_is_no_counts_has_no_limits(rng: np.random.Generator) -> None:
    scaled = (flat(rng, 20_000) / 20_000).astype(np.float32)
    assert full_scale(scaled, 65_535) is None
    assert full_scale(np.ones(SHAPE, np.float32)) is None
    assert full_scale(flat(rng, 20_000).astype(np.float32), 65_535) == 65_535  # counts, kept as floats


def test_sums_of_frames_have_no_upper_limit(rng: np.random.Generator) -> None:
    total = sum(flat(rng, 40_000).astype(np.uint32) for _ in range(5))
    assert is_taken(200_000, full_scale(total))
