"""What was found of an injected signal: its amplitude where its moment is known, and fractions with their intervals."""

import numpy as np
from numpy.typing import NDArray

MIN_POINTS = 4  # two are fitted
ONE_SIGMA = 1.0  # of a Gaussian: 68 % of the probability

Floats = NDArray[np.float64]


def fit_amplitude(flux: Floats, error: Floats, shape: Floats) -> tuple[float, float]:
    """Amplitude of a known shape in a light curve and its standard deviation, by weighted least squares.

    flux = c · (1 + A · shape), with c and A free: the matched filter of white noise with a level of its own. Where the
    points scatter more than their errors say, the error of A grows by the root of the reduced chi-square.

    Args:
        flux: float64[t], NaN where nothing is known.
        error: float64[t], one standard deviation.
        shape: float64[t], see `Signal.shape`.

    Returns:
        A and its error; NaN where fewer than four points, or none on the signal or none beside it, are known.
    """
    known = np.isfinite(flux) & np.isfinite(shape) & (error > 0)
    if known.sum() < MIN_POINTS:
        return np.nan, np.nan
    y, s, weight = flux[known], shape[known], error[known] ** -2.0
    total = weight.sum()
    mean_y, mean_s = (weight @ y) / total, (weight @ s) / total
    spread = weight @ (s - mean_s) ** 2
    if not spread > 1e-9 * total:
        return np.nan, np.nan
    slope = (weight @ ((s - mean_s) * (y - mean_y))) / spread
    level = mean_y - slope * mean_s
    if not level > 0:
        return np.nan, np.nan
    chi2 = weight @ (y - level - slope * s) ** 2 / (y.size - 2)
    return float(slope / level), float(np.sqrt(max(1.0, chi2) / spread) / level)


def binomial_interval(found: int, tried: int, sigma: float = ONE_SIGMA) -> tuple[float, float]:
    """Interval of the probability behind ``found`` of ``tried`` (Wilson 1927, J. Am. Stat. Assoc. 22, 209).

    It has a width even for none or all of few; 0 to 1 for none tried.
    """
    if tried == 0:
        return 0.0, 1.0
    share, z2 = found / tried, sigma**2
    centre = (share + z2 / (2 * tried)) / (1 + z2 / tried)
    half = sigma / (1 + z2 / tried) * np.sqrt(share * (1 - share) / tried + z2 / (4 * tried**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
