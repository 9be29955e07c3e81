"""How strongly each star follows shared trends, with what its neighbours do as the first guess."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.detrend.detrended_field import MIN_TEACHERS, Detrended, Field, divide, unchanged
from pipeline.detrend.trend_regression import least_squares, normal_equations
from pipeline.relative.constancy import varying_stars
from pipeline.statistics import robust_scatter

STRANGE_SIGMA = 5.0  # a coefficient that far from its neighbours' is the star's own variation
LEAST_SPREAD = 1e-3  # of the coefficients' own errors: teachers that agree to the last digit bind nobody
STARS_PER_TERM = 10  # teachers for each term of the coefficients' dependence on position
CLIP_ROUNDS = 3


Finder = Callable[[Field, NDArray[np.int64]], NDArray[np.float64]]  # trends [k, t] that these teachers show


def detrend_shared(field: Field, find: Finder) -> Detrended:
    """Find trends on the constant stars and take them off all.

    Teachers that turn out to vary, once the trends are gone, were none: without them trends are found anew.
    """
    teachers = field.teachers()
    if not teachers.size:
        return unchanged(field)
    found = follow(field, find(field, teachers), teachers)
    constant = teachers[~found.guarded[teachers]]
    if constant.size < teachers.size and constant.size >= MIN_TEACHERS:
        found = follow(field, find(field, constant), constant)
    return found


def follow(field: Field, trends: NDArray[np.float64], teachers: NDArray[np.int64]) -> Detrended:
    """Divide each star by its share of the trends.

    A star's coefficients are the least-squares ones, drawn towards what its place in the field promises by as much
    as the teachers scatter about that (a ridge; in the manner of Smith et al. 2012, PASP 124, 1000). A star that varies
    has no say in its own model, which would swallow its variation: one that is protected, whose coefficients are far
    from any teacher's, or whose residuals stand out among stars of like brightness, gets the promised ones. A signal
    that does not stand out among the field's trends is weakened by what the trends can imitate of it.

    Args:
        field: the light curves.
        trends: float64[k, t], finite.
        teachers: int64[m], numbers of constant stars.
    """
    result = unchanged(field)
    if not len(trends):
        return result
    basis = _basis(field.curves.xy, teachers)
    free, error = least_squares(*normal_equations(*field.residuals(teachers), trends))
    promised, spread = _promise(basis, teachers, free, error)
    guarded = field.protected.copy()
    for rows, _ in field.curves.blocks():
        matrix, side = normal_equations(*field.residuals(rows), trends)
        free, error = least_squares(matrix, side)
        strange = np.abs(free - promised[rows]) > STRANGE_SIGMA * np.sqrt(np.square(spread) + np.square(error))
        guarded[rows] |= strange.any(axis=1)
        prior = np.diag(spread**-2.0)
        own = np.linalg.solve(matrix + prior, (side + promised[rows] @ prior)[:, :, None])[:, :, 0]
        divide(field, own @ trends, rows, result)
    guarded |= varying_stars(result, field.brightness)
    numbers = np.flatnonzero(guarded)
    divide(field, promised[numbers] @ trends, numbers, result)
    return replace(result, trends=trends, guarded=guarded)


def _basis(xy: NDArray[np.float64], teachers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Terms of a polynomial of position, as high as the teachers allow; float64[n, p]. Unknown is the middle."""
    low, high = np.nanmin(xy[teachers], axis=0), np.nanmax(xy[teachers], axis=0)
    # Nobody beyond the outermost teacher is promised more than that one: polynomials run away.
    scaled = np.clip((xy - (low + high) / 2.0) / np.maximum((high - low) / 2.0, 1.0), -1.0, 1.0)
    x, y = np.nan_to_num(scaled).T
    terms = [np.ones_like(x), x, y, x * y, x * x, y * y]
    number = next(count for count in (6, 3, 1) if teachers.size >= STARS_PER_TERM * count)
    return np.column_stack(terms[:number])


def _promise(
    basis: NDArray[np.float64], teachers: NDArray[np.int64], free: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients by place for all stars, float64[n, k], and how much stars scatter about them, float64[k]."""
    promised, spread = np.empty((len(basis), free.shape[1])), np.empty(free.shape[1])
    terms = basis[teachers]
    for k, (value, sigma) in enumerate(zip(free.T, error.T, strict=True)):
        kept = np.isfinite(sigma)
        typical = np.median(sigma[kept])
        weight = 1.0 / np.hypot(sigma, typical)
        for _ in range(CLIP_ROUNDS):
            solution = np.linalg.lstsq(terms[kept] * weight[kept, None], value[kept] * weight[kept], rcond=None)[0]
            off = value - terms @ solution
            scatter = float(robust_scatter(off[None, kept])[0])
            kept = np.isfinite(sigma) & (np.abs(off) <= STRANGE_SIGMA * np.hypot(scatter, sigma))
        promised[:, k] = basis @ solution
        # Errors of the coefficients are part of their scatter.
        own = scatter**2 - np.median(np.square(sigma[kept]))
        spread[k] = np.sqrt(max(own, (LEAST_SPREAD * typical) ** 2))
    return promised, spread
