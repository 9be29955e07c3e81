"""Weighted least squares of many light curves on the same few trends, and what of it is more than chance."""

import numpy as np
from numpy.typing import NDArray

CHANCE_SIGMA = 3.0
LARGEST_F = 20.0  # of one star: no single star makes a trend


def normal_equations(
    residual: NDArray[np.float64], weight: NDArray[np.float64], trends: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrices float64[n, k, k] and right-hand sides float64[n, k].

    Args:
        residual, weight: float64[n, t], 0 where missing.
        trends: float64[k, t].
    """
    k = len(trends)
    products = (trends[:, None] * trends[None]).reshape(k * k, -1)
    return (weight @ products.T).reshape(-1, k, k), (weight * residual) @ trends.T


def least_squares(
    matrix: NDArray[np.float64], side: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients and their errors; float64[n, k]. Without data: 0 and infinite errors."""
    inverse = np.linalg.pinv(matrix, hermitian=True)
    error = np.sqrt(np.maximum(np.diagonal(inverse, axis1=1, axis2=2), 0.0))
    return (inverse @ side[:, :, None])[:, :, 0], np.where(error > 0, error, np.inf)


def beyond_chance(
    trends: NDArray[np.float64], residual: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which trends stars follow, each star with a strength of its own, more than noise would make them.

    The F ratio of each trend beside all others, mean over the stars, is 1 by chance: one beyond 1 + 3 sqrt(2 / n)
    counts.

    Args:
        trends: float64[k, t], not made from these stars.
        residual, weight: float64[n, t].

    Returns:
        bool[k].
    """
    matrix, side = normal_equations(residual, weight, trends)
    coefficient, error = least_squares(matrix, side)
    left = (weight * residual**2).sum(axis=1) - (coefficient * side).sum(axis=1)
    freedom = (weight > 0).sum(axis=1) - len(trends)
    fit = (freedom > 0) & (left > 0)
    if not fit.any():
        return np.zeros(len(trends), dtype=np.bool_)
    ratio = np.square(coefficient[fit] / error[fit]) / (left[fit] / freedom[fit])[:, None]
    limit = 1.0 + CHANCE_SIGMA * np.sqrt(2.0 / fit.sum())
    return np.asarray(np.minimum(ratio, LARGEST_F).mean(axis=0) > limit)
