"""Light curves as deviations in units of their quoted errors, wild points pulled in."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.statistics import robust_scatter, row_median

Floats = NDArray[np.float64]

WILD_SIGMA = 5.0  # beyond it a point counts as this far
NEIGHBOURHOOD = 5  # points; two neighbouring wild ones are none of the majority yet
MIN_POINTS = 10  # of a light curve


def deviations(flux: Floats, error: Floats) -> Floats:
    """``(flux - median) / error * sqrt(n / (n - 1))`` (Stetson 1996), float64[n, t]; NaN where missing.

    Light curves of fewer than MIN_POINTS points are all NaN.

    Args:
        flux: float64[n, t], NaN where missing.
        error: float64[n, t], one standard deviation; where it is not positive the point is missing.
    """
    usable = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    count = usable.sum(axis=1)[:, None]
    usable &= count >= MIN_POINTS
    values = np.where(usable, flux, np.nan)
    scale = np.sqrt(count / np.maximum(count - 1.0, 1.0))
    return np.asarray((values - row_median(values)[:, None]) / np.where(usable, error, np.nan) * scale)


def tamed(deviation: Floats) -> Floats:
    """Deviations float64[n, t] with those beyond WILD_SIGMA robust standard deviations of their row moved there.

    One cosmic ray then weighs as one 5-sigma point, an event of many points keeps its shape. A row is never tamed below
    5 quoted errors: an eclipse on a quiet star is no crowd of cosmic rays.
    """
    limit = WILD_SIGMA * np.fmax(robust_scatter(deviation), 1.0)[:, None]
    return np.clip(deviation, -limit, limit)


def despiked(deviation: Floats) -> Floats:
    """Deviations float64[n, t] with points far from the median of NEIGHBOURHOOD neighbours moved nearer to it.

    Unlike `tamed` this leaves an event of several points whole however deep it is: what is fitted to a light curve must
    see all of it. NaN stays.
    """
    reach = NEIGHBOURHOOD // 2
    padded = np.pad(
        np.where(np.isfinite(deviation), deviation, np.inf), ((0, 0), (reach, reach)), constant_values=np.inf
    )
    ranked = np.sort(sliding_window_view(padded, NEIGHBOURHOOD, axis=1), axis=2)
    last = np.maximum(np.isfinite(ranked).sum(axis=2) - 1, 0)
    ends = (np.take_along_axis(ranked, which[:, :, None], axis=2)[:, :, 0] for which in (last // 2, (last + 1) // 2))
    with np.errstate(invalid="ignore"):
        middle = 0.5 * sum(ends)
        above = np.where(np.isfinite(deviation), deviation - middle, np.nan)
        limit = WILD_SIGMA * np.fmax(robust_scatter(above), 1.0)[:, None]
        return np.asarray(middle + np.clip(above, -limit, limit))


def check_times(time: Floats) -> None:
    """Raise `UnusableDataError` for times that are not sorted numbers."""
    if not np.isfinite(time).all() or (np.diff(time) < 0).any():
        raise UnusableDataError(
            "times are not in order or not finite: sort the frames and leave those without time out"
        )
