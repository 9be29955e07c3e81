"""Gain of a camera and noise of its master flat, measured from flats in pairs."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.box_noise import box_pairs, without_outliers

MIN_BOXES = 4
MIN_SIGNIFICANCE = 10.0  # of the photon noise; less is read noise, or a lamp that was off
MODE_VARIANCE = 9.0 * np.pi / 2.0 - 8.0  # of 3 median − 2 mean over that of the mean, for many flats
MODE_FRAMES = 3  # the median of two is their mean

Floats = NDArray[np.float64]
Pairs = Sequence[tuple[Floats, Floats, Floats]]  # as of `box_pairs`


def flat_pairs(flats: Iterable[NDArray[Any]]) -> Pairs:
    """Levels and noise in boxes of consecutive flats, two of which are in memory at once.

    flats: real[ny, nx] each, debiased, ADU, not divided by a flat; boxes with NaN pixels are left out.

    Raises:
        UnusableDataError: flats of unlike shapes.
    """
    return [box_pairs(*pair) for pair in pairwise(flats)]


def measure_gain(pairs: Pairs, read_noise_adu: float) -> float | None:
    """Gain in electrons per ADU by the photon-transfer method (Janesick 2001): variance of differences against mean.

    In each box the second flat is scaled to the first's level; their difference then holds no fixed pattern. For levels
    a and b its variance is ``(a / gain) (1 + a / b) + read² (1 + a²/b²)``. Levels may differ by any factor and the
    light by a gradient; what stands out in the difference is clipped.

    Args:
        pairs: of `flat_pairs`.
        read_noise_adu: read noise, ADU rms, digitisation included as in differences of bias frames.

    Returns:
        Median over the pairs; None when there is none, or no photon noise in it.
    """
    found = [_pair_gain(*pair, read_noise_adu) for pair in pairs]
    gains = [gain for gain in found if gain is not None]
    return float(np.median(gains)) if gains else None


def flat_noise(pairs: Pairs, levels: Sequence[float], *, mode: bool = False) -> float | None:
    """Relative noise of a pixel of the master made of flats with these levels.

    The noise is measured in the differences of consecutive flats; it is taken to fall with the square root of the
    light, as photon noise does, so that a few pairs tell of all flats.

    Args:
        pairs: of `flat_pairs`, of some of the flats in the master, whose levels are the first ones.
        levels: mean of every flat in the master, ADU; the master's weights are proportional to them.
        mode: the master is 3 · median − 2 · mean.

    Returns:
        Relative standard deviation, None without a pair.
    """
    found = [_variance_per_light(*pair) for pair in pairs]
    per_light = [variance for variance in found if np.isfinite(variance)]
    if not per_light:
        return None
    factor = MODE_VARIANCE if mode and len(levels) >= MODE_FRAMES else 1.0
    return float(np.sqrt(np.median(per_light) * factor / np.sum(levels)))


def _pair_gain(level_a: Floats, level_b: Floats, variance: Floats, read_noise_adu: float) -> float | None:
    if level_a.size < MIN_BOXES:
        return None
    ratio = level_a / level_b
    light = level_a * (1.0 + ratio)
    photons = variance - read_noise_adu**2 * (1.0 + ratio**2)
    usual = without_outliers(photons / light)
    inverse = photons[usual].sum() / light[usual].sum()
    spread = np.std(photons[usual] / light[usual]) / np.sqrt(usual.sum())
    return float(1.0 / inverse) if inverse > MIN_SIGNIFICANCE * spread else None


def _variance_per_light(level_a: Floats, level_b: Floats, variance: Floats) -> float:
    """Variance of a pixel, relative, times the level: 1 / gain where photons are all."""
    if level_a.size < MIN_BOXES:
        return float("nan")
    relative = variance / level_a**2 / (1.0 / level_a + 1.0 / level_b)
    return float(np.mean(relative[without_outliers(relative)]))
