"""Gain of a camera and noise of its master flat, measured from flats in pairs."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.statistics import MAD_TO_SIGMA

BOX_PX = 32  # side of a box in which both flats count as evenly lit
SAMPLE_PX = 1 << 20  # of a flat that are looked at: they give the gain to 0.3 % for each pair
CLIP_SIGMA = 5.0  # cosmic rays, the rims of stars in a twilight flat; takes less than 1e-5 of the variance
CLIP_ROUNDS = 4  # the first is by the median deviation, which rounding to whole numbers makes coarse
BOX_CLIP_SIGMA = 4.0  # boxes with what the clip left
MIN_BOXES = 4
MIN_SIGNIFICANCE = 10.0  # of the photon noise; less is read noise, or a lamp that was off
MODE_VARIANCE = 9.0 * np.pi / 2.0 - 8.0  # of 3 median − 2 mean over that of the mean, for many flats
MODE_FRAMES = 3  # the median of two is their mean

Floats = NDArray[np.float64]


def measure_gain(flats: Sequence[NDArray[Any]], read_noise_adu: float) -> float | None:
    """Gain in electrons per ADU by the photon-transfer method (Janesick 2001): variance of differences against mean.

    In each box the second flat is scaled to the first's level; their difference then holds no fixed pattern. For levels
    a and b its variance is ``(a / gain) (1 + a / b) + read² (1 + a²/b²)``. Levels may differ by any factor and the
    light by a gradient; what stands out in the difference is clipped.

    Args:
        flats: real[ny, nx] each, debiased, ADU, not divided by a flat; boxes with NaN pixels are left out.
        read_noise_adu: read noise, ADU rms, digitisation included as in differences of bias frames.

    Returns:
        Median over the consecutive pairs; None when there is no pair, or no photon noise in it.

    Raises:
        UnusableDataError: flats of unlike shapes.
    """
    found = [_pair_gain(*_boxes(*pair), read_noise_adu) for pair in pairwise(flats)]
    gains = [gain for gain in found if gain is not None]
    return float(np.median(gains)) if gains else None


def flat_noise(flats: Sequence[NDArray[Any]], levels: Sequence[float], *, mode: bool = False) -> float | None:
    """Relative noise of a pixel of the master made of flats with these levels.

    The noise is measured in the differences of consecutive flats; it is taken to fall with the square root of the
    light, as photon noise does, so that a few pairs tell of all flats.

    Args:
        flats: real[ny, nx] each, debiased, ADU: at least two of those in the master, their levels the first ones.
        levels: mean of every flat in the master, ADU; the master's weights are proportional to them.
        mode: the master is 3 · median − 2 · mean.

    Returns:
        Relative standard deviation, None without a pair.

    Raises:
        UnusableDataError: flats of unlike shapes.
    """
    found = [_variance_per_light(*_boxes(*pair)) for pair in pairwise(flats)]
    per_light = [variance for variance in found if np.isfinite(variance)]
    if not per_light:
        return None
    factor = MODE_VARIANCE if mode and len(levels) >= MODE_FRAMES else 1.0
    return float(np.sqrt(np.median(per_light) * factor / np.sum(levels)))


def _boxes(first: NDArray[Any], second: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Mean levels a, b of each box and the variance of first − (a/b) second in it: float64[boxes], good boxes only.

    The variance is that of 2 × 2 checkers, ``(d00 − d01 − d10 + d11) / 2``, which no gradient of the light changes.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise UnusableDataError(f"flats of shapes {first.shape} and {second.shape}: expected two images of one shape")
    if min(first.shape) < BOX_PX:
        return np.empty(0), np.empty(0), np.empty(0)
    a, b = _as_boxes(first), _as_boxes(second)
    level_a, level_b = a.mean(axis=(1, 2), dtype=np.float64), b.mean(axis=(1, 2), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = a - (level_a / level_b).astype(np.float32)[:, None, None] * b
    checkers = difference[:, ::2, ::2] - difference[:, ::2, 1::2] - difference[:, 1::2, ::2] + difference[:, 1::2, 1::2]
    variance = _clipped_variance(checkers.reshape(len(checkers), -1) / np.float32(2.0))
    good = (level_a > 0) & (level_b > 0) & (variance > 0)
    return level_a[good], level_b[good], variance[good]


def _as_boxes(image: NDArray[Any]) -> NDArray[np.float32]:
    """float32[boxes, BOX_PX, BOX_PX], of large images those of evenly spaced bands; boxes with NaN give NaN."""
    bands, columns = image.shape[0] // BOX_PX, image.shape[1] // BOX_PX
    cut = image[: bands * BOX_PX, : columns * BOX_PX].reshape(bands, BOX_PX, columns, BOX_PX)
    cut = cut[:: max(1, image.size // SAMPLE_PX)]
    return np.asarray(cut.swapaxes(1, 2).reshape(-1, BOX_PX, BOX_PX), dtype=np.float32)


def _clipped_variance(values: NDArray[np.float32]) -> Floats:
    """Variance of each row of float32[b, m] about zero, without values beyond 5 sigma."""
    # The first scale is robust: one cosmic ray in a box would hide itself in a plain one.
    sigma = MAD_TO_SIGMA * np.median(np.abs(values), axis=1)
    square = np.square(values)
    for _ in range(CLIP_ROUNDS):
        kept = square <= np.square(CLIP_SIGMA * sigma)[:, None]
        sigma = np.sqrt(np.where(kept, square, 0.0).sum(axis=1) / np.maximum(kept.sum(axis=1), 1))
    return np.asarray(np.square(sigma), dtype=np.float64)


def _without_outliers(values: Floats) -> NDArray[np.bool_]:
    centre = np.median(values)
    return np.asarray(np.abs(values - centre) <= BOX_CLIP_SIGMA * MAD_TO_SIGMA * np.median(np.abs(values - centre)))


def _pair_gain(level_a: Floats, level_b: Floats, variance: Floats, read_noise_adu: float) -> float | None:
    if level_a.size < MIN_BOXES:
        return None
    ratio = level_a / level_b
    light = level_a * (1.0 + ratio)
    photons = variance - read_noise_adu**2 * (1.0 + ratio**2)
    usual = _without_outliers(photons / light)
    inverse = photons[usual].sum() / light[usual].sum()
    spread = np.std(photons[usual] / light[usual]) / np.sqrt(usual.sum())
    return float(1.0 / inverse) if inverse > MIN_SIGNIFICANCE * spread else None


def _variance_per_light(level_a: Floats, level_b: Floats, variance: Floats) -> float:
    """Variance of a pixel, relative, times the level: 1 / gain where photons are all."""
    if level_a.size < MIN_BOXES:
        return float("nan")
    relative = variance / level_a**2 / (1.0 / level_a + 1.0 / level_b)
    return float(np.mean(relative[_without_outliers(relative)]))
