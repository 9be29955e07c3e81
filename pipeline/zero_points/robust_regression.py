"""A linear regression among outliers, on values that scatter by more than their errors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics import MAD_TO_SIGMA

# A first guess of the scatter of stars about a good fit, worth one star: a few that agree by chance are not believed.
TYPICAL_SCATTER, TYPICAL_WEIGHT = 0.010, 1.0  # mag
TAIL = (
    2.5e-4  # of Gaussian values that the clipping takes for outliers at each side: 3.5 sigma, more where few tell sigma
)
L1_ROUNDS, CLIP_ROUNDS = 15, 20
L1_FLOOR = 0.1  # of an error: smaller residuals weigh no more
BISECTIONS = 30
NO_SCATTER = 1e-6  # mag

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """Coefficients [p], their covariance [p, p], the scatter that errors do not explain, and who was kept [n]."""

    coefficients: Floats
    covariance: Floats
    scatter: float
    kept: NDArray[np.bool_]


def regress(
    values: Floats, errors: Floats, design: Floats, prior: Floats, start: NDArray[np.bool_] | None = None
) -> Regression:
    """Fit ``values = design · coefficients`` with Gaussian priors of mean 0 on the coefficients.

    The start is the fit of least absolute deviations, which a third of wild values does not move; then values beyond
    3.5 sigma (of Student's distribution where few stars tell sigma) are left out, until none changes sides.

    Args:
        values: float64[n].
        errors: float64[n], one standard deviation each, without the common scatter, which is found here.
        design: float64[n, p].
        prior: float64[p], standard deviations, inf for none.
        start: bool[n], values to begin with, instead of the least absolute deviations.
    """
    from scipy.special import stdtrit  # see pipeline/__init__.py

    precision = np.diag(1.0 / prior**2)
    size = values.size
    if start is None:
        kept = np.ones(size, dtype=bool)
        coefficients = _least_absolute(values, np.hypot(errors, TYPICAL_SCATTER), design, precision)
    else:
        kept = start
        coefficients, _ = _least_squares(values, 1.0 / (errors**2 + TYPICAL_SCATTER**2), design, precision, kept)
    for _ in range(CLIP_ROUNDS):
        residual = values - design @ coefficients
        free = max(np.count_nonzero(kept) - design.shape[1], 1)
        scatter = _blend(_robust_excess(residual, errors), free)
        limit = float(stdtrit(free + TYPICAL_WEIGHT, 1.0 - TAIL))
        before, kept = kept, np.abs(residual) < limit * np.hypot(errors, scatter)
        coefficients, covariance = _least_squares(values, 1.0 / (errors**2 + scatter**2), design, precision, kept)
        if np.array_equal(kept, before):
            break
    residual = (values - design @ coefficients)[kept]
    weight = 1.0 / (errors[kept] ** 2 + scatter**2)
    used = float(np.einsum("n,ni,ij,nj->", weight, design[kept], covariance, design[kept]))
    free_of_terms = max(residual.size - used, 1.0)
    scatter = _blend(likely_excess(residual, errors[kept], free_of_terms), free_of_terms)
    coefficients, covariance = _least_squares(values, 1.0 / (errors**2 + scatter**2), design, precision, kept)
    return Regression(coefficients, covariance, scatter, kept)


def _blend(scatter: float, free: float) -> float:
    return float(np.sqrt((TYPICAL_WEIGHT * TYPICAL_SCATTER**2 + free * scatter**2) / (TYPICAL_WEIGHT + free)))


def _least_squares(
    values: Floats, weight: Floats, design: Floats, precision: Floats, kept: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    weighted = (design * (weight * kept)[:, None]).T
    # A thousand magnitudes for a constant without a value: never singular.
    covariance = np.asarray(np.linalg.inv(weighted @ design + precision + 1e-6 * np.eye(len(precision))), np.float64)
    return covariance @ (weighted @ values), covariance


def _least_absolute(values: Floats, errors: Floats, design: Floats, precision: Floats) -> Floats:
    """Least absolute deviations by reweighting (Schlossmacher 1973), in units of the errors, about the median."""
    everyone = np.ones(values.size, dtype=bool)
    residual = values - np.median(values)
    for _ in range(L1_ROUNDS):
        weight = 1.0 / (errors * np.maximum(np.abs(residual), L1_FLOOR * errors))
        coefficients, _ = _least_squares(values, weight, design, precision, everyone)
        residual = values - design @ coefficients
    return coefficients


def _robust_excess(residual: Floats, errors: Floats) -> float:
    """The scatter beside the errors for which the median of |residual| is that of a Gaussian."""

    def surplus(variance: float) -> float:
        return MAD_TO_SIGMA * float(np.median(np.abs(residual) / np.sqrt(errors**2 + variance))) - 1.0

    return _root(surplus, residual)


def likely_excess(residual: Floats, errors: Floats, free: float) -> float:
    """The most likely scatter beside the errors, with the degrees of freedom that the terms left."""

    def surplus(variance: float) -> float:
        total = errors**2 + variance
        return float(np.sum((residual / total) ** 2) / np.sum(1.0 / total)) * residual.size / free - 1.0

    return _root(surplus, residual)


def _root(surplus: Callable[[float], float], residual: Floats) -> float:
    """Square root of the variance at which a falling function is 0; 0 where it is not positive from the start."""
    if not residual.size or surplus(NO_SCATTER**2) <= 0.0:
        return 0.0
    low, high = np.log(NO_SCATTER), np.log(2.0 * np.sqrt(residual.size) * float(np.max(np.abs(residual))))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if surplus(float(np.exp(2.0 * middle))) > 0.0 else (low, middle)
    return float(np.exp(0.5 * (low + high)))
