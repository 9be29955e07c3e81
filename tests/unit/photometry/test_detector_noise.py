"""Gain, read noise and flat noise of simulated frames come out within 2 %, whatever the frames show."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.detector.detector_noise import flat_noise, flat_pairs, measure_gain
from pipeline.detector.masters import combine_flat, read_noise
from pipeline.errors import UnusableDataError

SHAPE = (768, 768)
STARS = 60


def make_flats(
    rng: np.random.Generator, gain: float, noise: float, levels: Sequence[float], *, stars: int = 0
) -> list[NDArray[np.float32]]:
    """Debiased flats in ADU: pixel response, light that changes its gradient from flat to flat, and stars."""
    response = 1 + 0.01 * rng.standard_normal(SHAPE)
    y, x = np.meshgrid(np.linspace(-0.5, 0.5, SHAPE[0]), np.linspace(-0.5, 0.5, SHAPE[1]), indexing="ij")
    flats = []
    for number, level in enumerate(levels):
        light = level * gain * response * (1 + 0.2 * (-1) ** number * x + 0.1 * y)
        counts = np.rint((rng.poisson(light) + rng.normal(0, noise, SHAPE)) / gain)
        for row, column in rng.integers(3, min(SHAPE) - 3, (stars, 2)):
            counts[row - 2 : row + 3, column - 2 : column + 3] += rng.uniform(0.01, 1.0) * level
        flats.append(counts.astype(np.float32))
    return flats


@pytest.mark.parametrize(
    ("gain", "noise", "levels"),
    [
        (1.5, 8.0, (30_000.0, 24_000.0, 33_000.0)),
        (0.25, 3.0, (8_000.0, 2_000.0)),
        (8.0, 12.0, (3_000.0, 6_000.0)),
        (1.5, 8.0, (300.0, 900.0)),
    ],
)
@pytest.mark.parametrize("stars", [0, STARS])
def test_gain_from_flats(gain: float, noise: float, levels: tuple[float, ...], stars: int) -> None:
    flats = make_flats(np.random.default_rng(3), gain, noise, levels, stars=stars)
    digitised = np.sqrt((noise / gain) ** 2 + 1 / 12)
    # Two flats of 768² give 0.4 %.
    assert measure_gain(flat_pairs(flats), digitised) == pytest.approx(gain, rel=0.02)


@pytest.mark.parametrize("frames", [2, 5])
@pytest.mark.parametrize(("gain", "noise"), [(1.5, 8.0), (8.0, 12.0)])
def test_read_noise_from_bias_frames(frames: int, gain: float, noise: float) -> None:
    """Fixed columns and hot pixels are no noise; rounding to whole numbers is."""
    rng = np.random.default_rng(4)
    fixed = 1000 + rng.normal(0, 3, SHAPE[1]) + 5000 * (rng.random(SHAPE) < 1e-4)
    biases = [np.rint(fixed + rng.normal(0, noise / gain, SHAPE)).astype(np.uint16) for _ in range(frames)]
    assert read_noise(biases) == pytest.approx(np.sqrt((noise / gain) ** 2 + 1 / 12), rel=0.01)


@pytest.mark.parametrize("number", [2, 3, 7])
@pytest.mark.parametrize("method", ["clipped_mean", "mode"])
def test_flat_noise_is_that_of_the_master(number: int, method: str) -> None:
    rng = np.random.default_rng(5)
    levels = [20_000.0 + 2_000.0 * (i % 3) for i in range(number)]
    truth = 1 + 0.01 * rng.standard_normal(SHAPE)
    flats = [(rng.poisson(level * 1.5 * truth) / 1.5).astype(np.float32) for level in levels]
    master = combine_flat(lambda i, rows: flats[i][rows], levels, SHAPE, method)  # type: ignore[arg-type]
    quoted = flat_noise(flat_pairs(flats[:3]), levels, mode=method == "mode")
    # The factor of `mode` is that of many flats: too much for seven by a tenth, for three by a fifth. The clip of a few
    # flats takes 1 % of their light's information with it.
    allowed = 0.03 if method == "clipped_mean" or number == 2 else 0.25
    assert quoted == pytest.approx(float(np.std(master / truth)), rel=allowed)


def test_dark_flats_tell_no_gain() -> None:
    rng = np.random.default_rng(6)
    flats = [rng.normal(1.0, 5.0, SHAPE).astype(np.float32) for _ in range(2)]
    assert measure_gain(flat_pairs(flats), 5.0) is None


def test_one_flat_tells_nothing() -> None:
    flats = make_flats(np.random.default_rng(7), 1.5, 8.0, (20_000.0,))
    assert measure_gain(flat_pairs(flats), 5.3) is None
    assert flat_noise(flat_pairs(flats), [20_000.0]) is None


def test_dead_pixels_do_not_matter() -> None:
    flats = make_flats(np.random.default_rng(8), 2.0, 8.0, (20_000.0, 25_000.0))
    for flat in flats:
        flat[100:110, 200] = np.nan
    assert measure_gain(flat_pairs(flats), 4.0) == pytest.approx(2.0, rel=0.02)


def test_unlike_flats_are_refused() -> None:
    with pytest.raises(UnusableDataError, match="shape"):
        flat_pairs([np.ones((64, 64)), np.ones((64, 32))])
