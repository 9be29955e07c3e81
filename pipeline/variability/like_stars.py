"""A star beside stars of like magnitude: what all of them show is no variability."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.statistics import MAD_TO_SIGMA, row_median

Floats = NDArray[np.float64]

NEIGHBOURS = 100  # stars on the list by magnitude among which one is judged
APART_SIGMA = (4.0, 8.0)  # beyond the upper one stars are a class of their own, if few lie between the two
MAX_BETWEEN = 0.5  # stars between, for each beyond: a tail of red noise has more
LEAST_REACH = 7  # stars on either side at the ends of the list, where the trend with magnitude is steep
UPPER_PERCENTILES = ((84.135, 1.0), (95.0, 1.645))  # and where a Gaussian has them, in standard deviations


def against_like_stars(
    value: Floats,
    magnitude: Floats,
    *,
    least_spread: float = 0.0,
    neighbours: int = NEIGHBOURS,
    usual: NDArray[np.bool_] | None = None,
) -> Floats:
    """``(value - running median) / running spread`` along magnitude, float64[n]; NaN where either is.

    The spread is the largest of 1.4826 × median absolute deviation and of the 84th and the 95th percentile (the side on
    which variables lie) in a Gaussian's units, and at least ``least_spread``: red noise gives skew tails.

    Args:
        value: float64[n], larger for stars that vary.
        magnitude: float64[n], any zero point.
        least_spread: 1 for a significance: the field may widen it, never narrow it.
        neighbours: stars of a window.
        usual: bool[n], stars among which all are judged; all without it.
    """
    result = np.full(value.size, np.nan)
    known = np.flatnonzero(np.isfinite(value) & np.isfinite(magnitude))
    order = known if usual is None else known[usual[known]]
    if not order.size:
        return result
    order = order[np.argsort(magnitude[order], kind="stable")]
    size = min(neighbours, order.size)
    medians = running_median(value[order], size)
    windows = sliding_window_view(value[order] - medians, size)
    spreads = np.maximum(MAD_TO_SIGMA * np.median(np.abs(windows), axis=1), least_spread)
    for percentile, sigma in UPPER_PERCENTILES:
        spreads = np.maximum(spreads, np.percentile(windows, percentile, axis=1) / sigma)
    at = np.minimum(np.searchsorted(magnitude[order], magnitude[known]), order.size - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        result[known] = (value[known] - medians[at]) / spreads[np.clip(at - size // 2, 0, len(windows) - 1)]
    return result


def class_apart(
    value: Floats, magnitude: Floats, *, least_spread: float = 0.0, neighbours: int = NEIGHBOURS
) -> NDArray[np.bool_]:
    """Stars that stand far above like stars with a gap between: variables, however many they are; bool[n].

    Where a tenth of the stars of like magnitude vary, they are themselves the upper percentiles that others are held
    against, and none stands out. Red noise has tails too, but without a gap: there nobody is set apart.

    Args: as of `against_like_stars`.
    """
    result = np.zeros(value.size, dtype=bool)
    known = np.flatnonzero(np.isfinite(value) & np.isfinite(magnitude))
    if not known.size:
        return result
    order = known[np.argsort(magnitude[known], kind="stable")]
    size = min(neighbours, order.size)
    above = value[order] - running_median(value[order], size)
    spreads = np.maximum(MAD_TO_SIGMA * np.median(np.abs(sliding_window_view(above, size)), axis=1), least_spread)
    window = np.clip(np.arange(order.size) - size // 2, 0, len(spreads) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = above / spreads[window]
    beyond, between = (sigma > limit for limit in reversed(APART_SIGMA))
    number, both = (sliding_window_view(one.astype(np.float64), size).sum(axis=1)[window] for one in (beyond, between))
    result[order] = beyond & (both - number <= MAX_BETWEEN * number)
    return result


def running_median(ranked: Floats, size: int) -> Floats:
    """Of float64[n] in windows that shrink towards both ends and stay centred as long as they can."""
    medians = np.empty_like(ranked)
    half = size // 2
    medians[half : half + ranked.size - size + 1] = np.median(sliding_window_view(ranked, size), axis=1)
    ranks = np.concatenate([np.arange(half), np.arange(half + ranked.size - size + 1, ranked.size)])
    reach = np.maximum(LEAST_REACH, np.minimum(ranks, ranked.size - 1 - ranks))[:, None]
    offset = np.arange(-reach.max(initial=0), reach.max(initial=0) + 1)
    near = ranks[:, None] + offset
    inside = (np.abs(offset) <= reach) & (near >= 0) & (near < ranked.size)
    medians[ranks] = row_median(np.where(inside, ranked[np.clip(near, 0, ranked.size - 1)], np.nan))
    return medians
