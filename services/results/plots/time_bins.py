"""Means over time of a light curve."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.statistics import MAD_TO_SIGMA
from pipeline.units import MINUTES_PER_DAY

BIN_MINUTES = 10.0
MAX_BINS = 60  # longer light curves have wider bins
MIN_BINS = 4
MIN_POINTS_A_BIN = 3.0  # on average
MAX_SPREAD = 1.5  # of a bin's points, over the noise between neighbours: beyond, means would hide the variation
MARGIN = 0.1  # of the range in view, above and below
MARGIN_ERRORS = 3.0  # quoted errors, above and below: single points beyond are no noise

Values = NDArray[np.float64]


def bin_width(time: Values, flux: Values) -> float | None:
    """Days of a bin that holds enough points and hides no variation; None where there is none: ``[n]`` by time."""
    span = float(np.ptp(time)) if time.size else 0.0
    width = max(BIN_MINUTES / MINUTES_PER_DAY, span / MAX_BINS * (1 + 1e-9))  # the last point falls into the last bin
    filled = np.unique((time - time.min()) // width).size if time.size else 0
    if filled < MIN_BINS or time.size < MIN_POINTS_A_BIN * filled or resolved_within(time, flux, width):
        return None
    return width


def bin_means(time: Values, flux: Values, error: Values, width: float) -> tuple[Values, Values, Values]:
    """Weighted mean time, flux and its standard error in bins of ``width``; empty bins are left out: ``[n_bins]``."""
    usable = np.isfinite(flux) & (error > 0)
    time, flux, weight = time[usable], flux[usable], error[usable] ** -2.0
    number = ((time - time.min()) // width).astype(np.int64) if time.size else np.empty(0, np.int64)
    total = np.bincount(number, weight)
    filled = total > 0
    total = total[filled]
    means = (np.bincount(number, weight * values)[filled] / total for values in (time, flux))
    return (*means, total**-0.5)  # type: ignore[return-value]


def resolved_within(time: Values, flux: Values, width: float) -> bool:
    """Whether the flux varies within bins of ``width`` by clearly more than from point to point: ``[n]`` by time."""
    number = ((time - time.min()) // width).astype(np.int64)
    count = np.bincount(number)
    several = count > 1
    mean = np.bincount(number, flux) / np.maximum(count, 1)
    squares = np.bincount(number, (flux - mean[number]) ** 2)
    if not several.any():
        return False
    spread = np.median(np.sqrt(squares[several] / (count[several] - 1)))
    return bool(spread > MAX_SPREAD * point_to_point(flux))


def point_to_point(flux: Values) -> float:
    """Robust standard deviation of neighbouring differences / sqrt(2): noise without what varies slowly; ``[n]``."""
    return float(MAD_TO_SIGMA * np.median(np.abs(np.diff(flux))) / np.sqrt(2.0)) if flux.size > 1 else np.nan


def view_limits(flux: Values, error: Values) -> tuple[float, float]:
    """Lowest and highest flux in view: ``flux, error: [n]`` in order of time.

    The median of three neighbours drops single outliers, which would flatten the curve, and keeps a flare or a dip
    of two points.
    """
    kept = np.median(sliding_window_view(np.pad(flux, 1, mode="reflect"), 3), axis=1) if flux.size > 2 else flux
    low, high = float(kept.min()), float(kept.max())
    known = error[np.isfinite(error)]
    margin = MARGIN * (high - low) + MARGIN_ERRORS * (float(np.median(known)) if known.size else 0.0)
    margin = margin or abs(high) * MARGIN or MARGIN
    return low - margin, high + margin
