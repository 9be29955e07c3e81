"""How much slower than 1 / sqrt(n) the mean of n neighbouring points becomes precise."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

BIN_SIZES = range(4, 13)  # points
MIN_BINS = 6


def red_noise_factor(residual: NDArray[np.float64], sizes: Iterable[int] = BIN_SIZES) -> float:
    """β of Winn et al. (2008, ApJ 683, 1076): scatter of binned residuals over what white noise would leave.

    The median over several bin sizes, 1 at least: white noise gives 1 to 1.2.

    Args:
        residual: float64[t] in order of time, finite, about the model.
        sizes: of the bins, points; those of which there are fewer than MIN_BINS are left out.
    """
    scatter = float(np.std(residual))
    factors = [1.0]
    for size in sizes:
        bins = residual.size // size
        if bins >= MIN_BINS and scatter > 0:
            means = residual[: bins * size].reshape(bins, size).mean(axis=1)
            factors.append(float(np.std(means, ddof=1)) * np.sqrt(size) / scatter)
    return max(1.0, float(np.median(factors)))
