"""External trends: what airmass, seeing, the place on the detector and the sky do to light curves."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detrend.detrended_field import Detrended, Field
from pipeline.detrend.following import detrend_shared
from pipeline.detrend.sysrem import EPOCHS_PER_TREND
from pipeline.detrend.trend_regression import beyond_chance
from pipeline.errors import UnusableDataError

MIN_SINGULAR = 1e-2  # of the largest: combinations that hardly vary are rounding
OUTLIER_SIGMA = 5.0  # values of a vector further out are drawn in: one odd frame would steer the whole fit


def detrend_trends(field: Field, vectors: Sequence[NDArray[np.float64]]) -> Detrended:
    """Take off what follows these vectors and their squares, star by star.

    The vectors and squares are made independent of each other (singular vectors over the good epochs); those that the
    constant stars follow no more than chance are left out, so that no star pays for them.

    Args:
        field: the light curves.
        vectors: float64[t] each (airmass, FWHM, shifts in x and y, sky level); NaN counts as the median, and a vector
            without variation or numbers is left out.

    Raises:
        UnusableDataError: a vector of another length.
    """
    trends = independent(vectors, field.curves.good)

    def find(field: Field, teachers: NDArray[np.int64]) -> NDArray[np.float64]:
        return trends[beyond_chance(trends, *field.residuals(teachers))] if len(trends) else trends

    return detrend_shared(field, find)


def independent(vectors: Sequence[NDArray[np.float64]], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Orthonormal combinations (over the good epochs) of the vectors and their squares; float64[k, t], mean 0."""
    terms = []
    for vector in vectors:
        if vector.shape != good.shape:
            raise UnusableDataError(f"a vector of {vector.shape} for {good.shape} epochs: expected one value an epoch")
        scaled = _scaled(vector, good)
        if scaled is not None:
            terms += [scaled, scaled**2 - np.mean(scaled[good] ** 2)]
    if not terms:
        return np.zeros((0, good.size))
    matrix = np.array(terms)
    left, size, _ = np.linalg.svd(matrix[:, good], full_matrices=False)
    most = min(int((size > MIN_SINGULAR * size[0]).sum()), int(good.sum()) // EPOCHS_PER_TREND)
    return np.asarray((left.T @ matrix)[:most] / size[:most, None])


def _scaled(vector: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Mean 0 and standard deviation 1 over the good epochs, outliers drawn in; None if it does not vary."""
    known = np.isfinite(vector)
    if not (known & good).any():
        return None
    filled = np.where(known, vector, np.median(vector[known & good]))
    centre, spread = filled[good].mean(), filled[good].std()
    if not spread > np.finfo(np.float64).eps * max(1.0, abs(centre)) * good.size:
        return None
    filled = np.clip((filled - centre) / spread, -OUTLIER_SIGMA, OUTLIER_SIGMA)
    filled -= filled[good].mean()
    return np.asarray(filled / filled[good].std())
