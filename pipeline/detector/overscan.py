"""The level of the overscan: what the amplifier gives without charge, line by line of the read-out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.statistics import MAD_TO_SIGMA

EDGE_PX = 2  # next to the data, where charge lags behind
EDGE_LEAST_PX = 8  # of a line; fewer are all used
LEAST_PX = 3  # of a line
CLIP_SIGMA = 4.0  # cosmic rays, and light of a full star that was carried over; moves the rms of noise by 0.05 %
LEAST_SPREAD_ADU = 1.0  # of whole numbers: smaller noise is lost in rounding
TREND_LINES = 65  # over which the level may drift
STRANGE_SIGMA = 6.0  # of the lines' scatter: a line next to a full star tells nothing of its level

Floats = NDArray[np.float32]


def line_levels(pixels: NDArray[Any], first: int, length: int, *, is_before: bool) -> Floats:
    """Level of each line of the data, float32[length], ADU.

    Each line's mean, without what stands out of it, has the noise of ``read noise / sqrt(m)``. To take it off as it is
    would put that noise into all pixels of the line alike, where no average over a star takes it out. So the levels are
    a trend over `TREND_LINES` lines and of each line's departure from it the share ``1 − (read noise² / m) / scatter²``
    that is no noise (the least squares estimate, Wiener 1949): nothing where lines scatter by the noise alone, nearly
    all where the electronics jump from line to line. Lines that stand far out go by the trend.

    Args:
        pixels: real[n, m], ADU: n lines of m pixels each.
        first: line of the data beside which the first of them lies; may be negative.
        length: lines of the data; those with no overscan beside them have the level of the nearest that has.
        is_before: whether the overscan was read before the data, so that the data follow its last pixel.

    Raises:
        UnusableDataError: no pixel is finite.
    """
    width = pixels.shape[1]
    if width >= EDGE_LEAST_PX:
        pixels = pixels[:, :-EDGE_PX] if is_before else pixels[:, EDGE_PX:]
    least = LEAST_SPREAD_ADU if np.issubdtype(pixels.dtype, np.integer) else 0.0
    means, noise = _means(np.asarray(pixels, np.float64), least)
    known = np.isfinite(means)
    if not known.any():
        raise UnusableDataError("no pixel of the overscan is finite: read-out or file is broken, leave the frame out")
    lines = np.arange(means.size)
    means = np.interp(lines, lines[known], means[known])
    levels = _without_noise(means, noise)
    return np.interp(np.arange(length) - first, lines, levels).astype(np.float32)


def _means(pixels: NDArray[np.float64], least_spread: float) -> tuple[NDArray[np.float64], float]:
    """Mean of each line without what stands out, NaN where no pixel is finite, and the noise of such a mean.

    Lines of fewer than `LEAST_PX` pixels do not tell their noise, which is infinite then: only the trend is believed.
    """
    finite = np.isfinite(pixels)
    if not finite.any():
        return np.full(pixels.shape[0], np.nan), 0.0
    ordered = np.sort(np.where(finite, pixels, np.inf), axis=1)
    middle = np.take_along_axis(ordered, np.maximum(finite.sum(axis=1, keepdims=True) - 1, 0) // 2, axis=1)
    off = np.where(finite, np.abs(np.where(finite, pixels, 0.0) - middle), np.inf)
    spread = MAD_TO_SIGMA * float(np.median(off[finite]))
    kept = off <= CLIP_SIGMA * max(spread, least_spread)
    number = kept.sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = np.where(kept, pixels, 0.0).sum(axis=1) / number
    squares = np.where(kept, (pixels - means[:, None]) ** 2, 0.0).sum()
    freedom = int(number.sum() - np.count_nonzero(number))
    if pixels.shape[1] < LEAST_PX or freedom < 1:
        return means, float("inf")
    return means, float(np.sqrt(squares / freedom / max(float(np.median(number)), 1.0)))


def _without_noise(means: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter1d, median_filter  # type: ignore[attr-defined]  # see pipeline/__init__.py

    size = min(TREND_LINES, means.size)
    trend = gaussian_filter1d(median_filter(means, size, mode="nearest"), size / 4, mode="nearest")
    off = means - trend
    limit = STRANGE_SIGMA * max(MAD_TO_SIGMA * float(np.median(np.abs(off))), noise)
    usual = np.abs(off) <= limit
    scatter = float(np.mean(off[usual] ** 2)) if usual.any() else 0.0
    share = 0.0 if scatter <= noise**2 else 1.0 - noise**2 / scatter
    return np.asarray(trend + np.where(usual, share * off, 0.0))
