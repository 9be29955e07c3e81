"""SysRem: trends that the light curves themselves show (Tamuz, Mazeh & Zucker 2005, MNRAS 356, 1466)."""

import numpy as np
from numpy.typing import NDArray

from pipeline.detrend.detrended_field import Detrended, Field
from pipeline.detrend.following import detrend_shared
from pipeline.detrend.trend_regression import beyond_chance

MAX_TRENDS = 4
EPOCHS_PER_TREND = 10  # good epochs, at least: each trend takes a degree of freedom from every star
POWER_ITERATIONS = 30  # for a start; they need not converge
ITERATIONS = 15


def detrend_sysrem(field: Field) -> Detrended:
    """Find what constant stars share, ``residual[i, j] = c[i] * a[j]``, and take it from all.

    Trends are found one after the other. Each is found first on every second teacher and tried on the others, where it
    must do more than chance (`beyond_chance`). The first that does not ends the search; so do MAX_TRENDS, or fewer than
    ten good epochs for each.

    The star to be freed has no part in this unless it is a teacher, one of hundreds; how much of a variation is kept is
    told in `follow`.
    """
    return detrend_shared(field, _find)


def _find(field: Field, teachers: NDArray[np.int64]) -> NDArray[np.float64]:
    residual, weight = field.residuals(teachers)
    good = field.curves.good
    found: list[NDArray[np.float64]] = []
    most = min(MAX_TRENDS, int(good.sum()) // EPOCHS_PER_TREND)
    while len(found) < most:
        half = _trend(residual[::2], weight[::2], good)
        if not beyond_chance(half[None], residual[1::2], weight[1::2]).all():
            break
        trend = _trend(residual, weight, good)
        residual -= np.outer(_coefficients(trend, residual, weight), trend) * (residual != 0)
        found.append(trend)
    return np.array(found).reshape(-1, good.size)


def _trend(residual: NDArray[np.float64], weight: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The rank-one part of the residuals by alternating least squares; float64[t], unit length over good epochs.

    Bad epochs get the value that the stars' coefficients say for them.
    """
    scaled = residual * np.sqrt(weight)
    trend = scaled[np.square(scaled).sum(axis=1).argmax()]
    for _ in range(POWER_ITERATIONS):
        trend = (scaled @ trend) @ scaled
        trend /= max(float(np.sqrt(np.square(trend).sum())), np.finfo(np.float64).tiny)
    star_weight = np.where(weight > 0, weight, 0.0).max(axis=1)[:, None] * (residual != 0)  # in bad epochs as well
    for _ in range(ITERATIONS):
        coefficient = _coefficients(trend, residual, weight)[:, None]
        below = (star_weight * coefficient**2).sum(axis=0)
        trend = (star_weight * coefficient * residual).sum(axis=0) / np.where(below > 0, below, np.inf)
        trend /= max(float(np.sqrt(np.square(trend[good]).sum())), np.finfo(np.float64).tiny)
    return np.asarray(trend)


def _coefficients(
    trend: NDArray[np.float64], residual: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    below = weight @ trend**2
    return np.asarray(((weight * residual) @ trend) / np.where(below > 0, below, np.inf))
