"""Combined differential photometric precision: what noise would hide in a transit of half an hour."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.light_curves import blocks
from pipeline.statistics import robust_scatter, row_median
from pipeline.units import HOURS_PER_DAY

Floats = NDArray[np.float64]

TRANSIT_HOURS = 0.5
DETREND_HOURS = 1.0  # full width of the Savitzky-Golay window
DETREND_ORDER = 2
CLIP_SIGMA = 5.0  # robust, of the detrended points
SPIKE_WINDOW = 5  # points
SPIKE_SIGMA = 8.0  # robust, of the deviation from the median of the window
MIN_FILL = 0.5  # of the points that the densest half hour has, for a mean to count
MIN_MEANS = 10  # half-hour means of a light curve
PPM = 1e6
SINGULAR = 1e-6  # relative determinant of a window whose points cannot hold a parabola


def cdpp(
    time: Floats,
    flux: Floats,
    *,
    transit_hours: float = TRANSIT_HOURS,
    detrend_hours: float = DETREND_HOURS,
) -> Floats:
    """CDPP as in Fig. 9 of the paper on the Tianyu software, after lightkurve (Gilliland et al. 2011, ApJS 197, 6).

    Spikes are left out, the flux is divided by a Savitzky-Golay filter, points beyond 5 robust sigma are left out, and
    the standard deviation of the running mean over ``transit_hours`` is the CDPP. The filter is the local parabola by
    least squares in time itself, so that gaps and uneven steps need no interpolation.

    Args:
        time: float64[t], days.
        flux: float64[n, t], any unit, NaN where missing.
        transit_hours: of the running mean.
        detrend_hours: full width of the filter's window.

    Returns:
        float64[n], ppm; NaN with fewer than MIN_MEANS running means.

    Raises:
        UnusableDataError: shapes that do not fit, or times that are not finite.
    """
    _check(time, flux)
    order = np.argsort(time, kind="stable")
    smooth = _LocalParabola(time[order], detrend_hours / HOURS_PER_DAY)
    average = _window_matrix(time[order], transit_hours / HOURS_PER_DAY)
    found = np.full(len(flux), np.nan)
    for rows in blocks(*flux.shape):
        values = _without_spikes(flux[rows][:, order])
        relative = values / smooth.trend(values)
        deviation = np.abs(relative - row_median(relative)[:, None])
        kept = np.where(deviation <= CLIP_SIGMA * robust_scatter(relative)[:, None], relative, np.nan)
        found[rows] = PPM * _spread(_running_mean(average, kept))
    return found


def predicted_cdpp(
    time: Floats,
    flux: Floats,
    error: Floats,
    *,
    transit_hours: float = TRANSIT_HOURS,
    detrend_hours: float = DETREND_HOURS,
) -> Floats:
    """CDPP that white noise of the quoted errors would leave after the same detrending and averaging.

    The filter and the mean are linear: a running mean is ``sum_j L_ij f_j``, its variance ``sum_j L_ij² e_j²``.
    Missing points are taken from the window with the errors' median: exact for light curves without gaps of their own.

    Args:
        time: float64[t], days.
        flux: float64[n, t], NaN where missing.
        error: float64[n, t], one standard deviation, unit of the flux.

    Returns:
        float64[n], ppm; NaN without a finite error or a positive median flux.

    Raises:
        UnusableDataError: shapes that do not fit, or times that are not finite.
    """
    _check(time, flux)
    if error.shape != flux.shape:
        raise UnusableDataError(f"errors {error.shape} of light curves {flux.shape}: expected one for each point")
    order = np.argsort(time, kind="stable")
    smooth = _LocalParabola(time[order], detrend_hours / HOURS_PER_DAY)
    average = _window_matrix(time[order], transit_hours / HOURS_PER_DAY)
    counts = np.asarray(average.sum(axis=1)).ravel()
    counted = counts >= MIN_FILL * counts.max()
    response = (average.multiply(1.0 / counts[:, None]).tocsr() @ smooth.residual_matrix())[counted].power(2)
    mean_response = np.asarray(response.mean(axis=0)).ravel()
    found = np.full(len(flux), np.nan)
    for rows in blocks(*flux.shape):
        level, typical = row_median(flux[rows]), row_median(np.where(np.isfinite(flux[rows]), error[rows], np.nan))
        filled = np.where(np.isfinite(error[rows]) & np.isfinite(flux[rows]), error[rows], typical[:, None])[:, order]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(level > 0, np.sqrt(filled**2 @ mean_response) / level, np.nan)
        found[rows] = PPM * ratio
    return found


class _LocalParabola:
    """A Savitzky-Golay filter on uneven times: the least-squares parabola of the window around each time."""

    def __init__(self, time: Floats, width: float) -> None:
        """``time``: float64[t], sorted; ``width``: full width of the window, same unit."""
        from scipy import sparse

        window = _window_matrix(time, width).tocoo()
        offset = (time[window.col] - time[window.row]) / (0.5 * width)
        powers = range(2 * DETREND_ORDER + 1)
        at = window.row, window.col
        self._powers: list[Any] = [
            sparse.csr_matrix((offset**k, at), shape=window.shape)  # type: ignore[no-untyped-call]
            for k in powers
        ]

    def trend(self, values: Floats) -> Floats:
        """Of float64[n, t], NaN left out; where a window holds too little for a parabola, its mean."""
        present = np.isfinite(values)
        filled, weight = np.where(present, values, 0.0).T, present.T.astype(np.float64)
        weights = self._weights([power @ weight for power in self._powers])
        return np.asarray(sum(w * (power @ filled) for w, power in zip(weights, self._powers, strict=False))).T

    def residual_matrix(self) -> Any:
        """Sparse [t, t] that takes values without gaps to values minus trend."""
        from scipy import sparse

        weights = self._weights([np.asarray(power.sum(axis=1)).ravel() for power in self._powers])
        smoother = sum(power.multiply(w[:, None]) for w, power in zip(weights, self._powers, strict=False))
        unity: Any = sparse.identity(weights[0].size)  # type: ignore[no-untyped-call]
        return (unity - smoother).tocsr()

    @staticmethod
    def _weights(moments: list[Floats]) -> list[Floats]:
        """What multiplies the sums of ``value * offset**k`` to give the parabola at offset 0, by Cramer's rule."""
        s0, s1, s2, s3, s4 = moments
        minors = [s2 * s4 - s3**2, s2 * s3 - s1 * s4, s1 * s3 - s2**2]
        determinant = s0 * minors[0] + s1 * minors[1] + s2 * minors[2]
        solvable = determinant > SINGULAR * s0**3
        with np.errstate(divide="ignore", invalid="ignore"):
            means = [1.0 / np.maximum(s0, 1.0), np.zeros_like(s0), np.zeros_like(s0)]
            return [np.where(solvable, minor / determinant, mean) for minor, mean in zip(minors, means, strict=True)]


def _without_spikes(values: Floats) -> Floats:
    """float64[n, t] with NaN where a point stands out from its neighbours: one would bend the trend of an hour."""
    columns = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(np.isfinite(values), columns, 0), axis=1)
    filled = np.pad(np.take_along_axis(values, last, axis=1), ((0, 0), (SPIKE_WINDOW // 2,) * 2), mode="edge")
    deviation = values - np.median(sliding_window_view(filled, SPIKE_WINDOW, axis=1), axis=2)
    return np.where(np.abs(deviation) <= SPIKE_SIGMA * robust_scatter(deviation)[:, None], values, np.nan)


def _window_matrix(time: Floats, width: float) -> Any:
    """Sparse [t, t] of ones: which times lie in the window around each."""
    from scipy import sparse

    first = np.searchsorted(time, time - 0.5 * width, side="left")
    length = np.searchsorted(time, time + 0.5 * width, side="right") - first
    pointers = np.concatenate([[0], np.cumsum(length)])
    columns = np.arange(pointers[-1]) + np.repeat(first - pointers[:-1], length)
    ones = np.ones(columns.size), columns, pointers
    return sparse.csr_matrix(ones, shape=(time.size, time.size))  # type: ignore[no-untyped-call]


def _running_mean(window: Any, values: Floats) -> Floats:
    """Means of float64[n, t] in the windows, NaN where one holds less than MIN_FILL of the fullest."""
    present = np.isfinite(values)
    count = (window @ present.T.astype(np.float64)).T
    total = (window @ np.where(present, values, 0.0).T).T
    enough = count >= max(1.0, MIN_FILL * float(window.sum(axis=1).max()))
    return np.where(enough, total / np.maximum(count, 1.0), np.nan)


def _spread(values: Floats) -> Floats:
    """Standard deviation of each row of float64[n, t], NaN left out; NaN with fewer than MIN_MEANS."""
    present = np.isfinite(values)
    count = np.maximum(present.sum(axis=1), 1)
    mean = np.where(present, values, 0.0).sum(axis=1) / count
    variance = np.where(present, (values - mean[:, None]) ** 2, 0.0).sum(axis=1) / count
    return np.where(present.sum(axis=1) >= MIN_MEANS, np.sqrt(variance), np.nan)


def _check(time: Floats, flux: Floats) -> None:
    if flux.ndim != 2 or time.shape != flux.shape[1:] or not time.size:
        raise UnusableDataError(f"light curves {flux.shape} at times {time.shape}: expected (n, t) and (t,), t > 0")
    if not np.isfinite(time).all():
        raise UnusableDataError(f"{np.count_nonzero(~np.isfinite(time))} times are not finite: leave such frames out")
