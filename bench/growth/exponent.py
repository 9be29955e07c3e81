"""Exponents of growth."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import least_squares


def marginal(sizes: Sequence[float], costs: Sequence[float]) -> tuple[float, float, float]:
    """a, b and p of cost = a + b · size^p, a ≥ 0, by least squares of ln cost: p is how what is added grows.

    Without a, a start that all sizes pay would make any growth look slow.
    """
    size, cost = np.asarray(sizes) / max(sizes), np.asarray(costs)

    def residuals(values: np.ndarray) -> np.ndarray:
        start, slope, power = values
        return np.log((start + slope * size**power) / cost)

    begin = [cost.min() / 2, cost.max() / 2, 1.0]
    start, slope, power = least_squares(residuals, begin, bounds=([0, 1e-12, -1], [np.inf, np.inf, 3]), x_scale=begin).x
    return float(start), float(slope / max(sizes) ** power), float(power)


def plain(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of ln cost over ln size by least squares: 0 is what does not grow."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def at_the_end(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Exponent between the two largest sizes, of all of the cost."""
    return float(np.log(costs[-1] / costs[-2]) / np.log(sizes[-1] / sizes[-2]))
