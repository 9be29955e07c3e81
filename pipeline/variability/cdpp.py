"""Combined differential photometric precision: what noise would hide in a transit of half an hour."""

from collections.abc import Iterator
from functools import lru_cache
from math import comb

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.detector.column_median import column_median
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
PAIRS = 1 << 18  # of a point and one of its window, at a time
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
    average = _Windows(time[order], transit_hours / HOURS_PER_DAY)
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
    mean_response = _response_at(time[order].astype(np.float64).tobytes(), transit_hours, detrend_hours)
    found = np.full(len(flux), np.nan)
    for rows in blocks(*flux.shape):
        level, typical = row_median(flux[rows]), row_median(np.where(np.isfinite(flux[rows]), error[rows], np.nan))
        filled = np.where(np.isfinite(error[rows]) & np.isfinite(flux[rows]), error[rows], typical[:, None])[:, order]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(level > 0, np.sqrt(filled**2 @ mean_response) / level, np.nan)
        found[rows] = PPM * ratio
    return found


class _Windows:
    """The points that lie around each time: sums over them, that cost the same however many they are."""

    def __init__(self, time: Floats, width: float) -> None:
        """``time``: float64[t], sorted; ``width``: full width of the window, same unit."""
        self.half = 0.5 * width
        self.time = time
        self.first = np.searchsorted(time, time - self.half, side="left")
        self.last = np.searchsorted(time, time + self.half, side="right")  # behind the last one
        self.counts = (self.last - self.first).astype(np.float64)

    def sums(self, values: Floats, powers: int = 1) -> list[Floats]:
        """Of ``value * offset**k`` for each k below ``powers``; the offset is 1 half a window after the middle.

        They are differences of cumulative sums. Those begin anew where half a window has passed, and their offsets are
        from there: far from its origin a sum of powers would lose its digits.

        Args:
            values: float64[n, t], finite.
            powers: how many.

        Returns:
            float64[n, t] for each k.
        """
        found = [np.empty(values.shape) for _ in range(powers)]
        for targets in self._stretches():
            first, last = self.first[targets], self.last[targets]
            around = slice(first[0], last[-1])
            origin = self.time[targets.start]
            offset = (self.time[around] - origin) / self.half
            shift = (origin - self.time[targets]) / self.half
            of_origin = []
            for k in range(powers):
                running = np.zeros((len(values), offset.size + 1))
                np.cumsum(values[:, around] * offset**k, axis=1, out=running[:, 1:])
                of_origin.append(running[:, last - around.start] - running[:, first - around.start])
                found[k][:, targets] = sum(comb(k, m) * shift ** (k - m) * of_origin[m] for m in range(k + 1))
        return found

    def _stretches(self) -> Iterator[slice]:
        """All points, those within half a window together."""
        start = 0
        while start < self.time.size:
            stop = int(self.last[start])
            yield slice(start, stop)
            start = stop


class _LocalParabola:
    """A Savitzky-Golay filter on uneven times: the least-squares parabola of the window around each time."""

    def __init__(self, time: Floats, width: float) -> None:
        """``time``: float64[t], sorted; ``width``: full width of the window, same unit."""
        self.windows = _Windows(time, width)

    def trend(self, values: Floats) -> Floats:
        """Of float64[n, t], NaN left out; where a window holds too little for a parabola, its mean."""
        present = np.isfinite(values)
        weights = self._weights(present.astype(np.float64))
        sums = self.windows.sums(np.where(present, values, 0.0), DETREND_ORDER + 1)
        return np.asarray(sum(weight * total for weight, total in zip(weights, sums, strict=True)))

    def weights(self) -> list[Floats]:
        """Of values without gaps, float64[t] each: the trend is the sum of ``weight * offset**k * value``."""
        return [weight[0] for weight in self._weights(np.ones((1, self.windows.time.size)))]

    def _weights(self, present: Floats) -> list[Floats]:
        """What multiplies the sums of ``value * offset**k`` to give the parabola at offset 0, by Cramer's rule."""
        s0, s1, s2, s3, s4 = self.windows.sums(present, 2 * DETREND_ORDER + 1)
        minors = [s2 * s4 - s3**2, s2 * s3 - s1 * s4, s1 * s3 - s2**2]
        determinant = s0 * minors[0] + s1 * minors[1] + s2 * minors[2]
        solvable = determinant > SINGULAR * s0**3
        with np.errstate(divide="ignore", invalid="ignore"):
            means = [1.0 / np.maximum(s0, 1.0), np.zeros_like(s0), np.zeros_like(s0)]
            return [np.where(solvable, minor / determinant, mean) for minor, mean in zip(minors, means, strict=True)]


@lru_cache(maxsize=1)
def _response_at(times: bytes, transit_hours: float, detrend_hours: float) -> Floats:
    """`_mean_response` at times, float64[t] as bytes: the same for all apertures and blocks of stars of a night."""
    time = np.frombuffer(times, dtype=np.float64)
    smooth = _LocalParabola(time, detrend_hours / HOURS_PER_DAY)
    response = _mean_response(smooth, _Windows(time, transit_hours / HOURS_PER_DAY))
    response.flags.writeable = False
    return response


def _mean_response(smooth: _LocalParabola, average: _Windows) -> Floats:
    """Mean of ``L_ij²`` over the running means i that count, float64[t] by point j.

    ``L`` is the running mean of the rows of identity minus trend, here a difference of cumulative sums of rows: of some
    columns at a time, and of the rows that reach them.
    """
    filtered, time = smooth.windows, average.time
    weights = [weight[:, None] for weight in smooth.weights()]
    counted = average.counts >= MIN_FILL * average.counts.max()
    total = np.zeros(time.size)
    step = max(1, int(PAIRS // filtered.counts.max()))
    for start in range(0, time.size, step):
        columns = np.arange(start, min(start + step, time.size))
        rows = _range_with(filtered, columns)  # whose trend these columns bend
        means = _range_with(average, rows)
        inside = (columns >= filtered.first[rows, None]) & (columns < filtered.last[rows, None])
        offset = (time[columns] - time[rows, None]) / filtered.half
        trend = sum(weight[rows] * offset**k for k, weight in enumerate(weights))
        residual = (columns == rows[:, None]) - np.where(inside, trend, 0.0)
        running = np.zeros((rows.size + 1, columns.size))
        np.cumsum(residual, axis=0, out=running[1:])
        means = means[counted[means]]
        first, last = (np.clip(end[means] - rows[0], 0, rows.size) for end in (average.first, average.last))
        response = (running[last] - running[first]) / average.counts[means, None]
        total[columns] = np.einsum("ij,ij->j", response, response)
    return total / np.count_nonzero(counted)


def _range_with(windows: _Windows, points: NDArray[np.int64]) -> NDArray[np.int64]:
    """The windows that hold any of some neighbouring points, int64."""
    begin = np.searchsorted(windows.last, points[0], side="right")
    end = np.searchsorted(windows.first, points[-1], side="right")
    return np.arange(begin, end)


def _without_spikes(values: Floats) -> Floats:
    """float64[n, t] with NaN where a point stands out from its neighbours: one would bend the trend of an hour."""
    columns = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(np.isfinite(values), columns, 0), axis=1)
    filled = np.pad(np.take_along_axis(values, last, axis=1), ((0, 0), (SPIKE_WINDOW // 2,) * 2), mode="edge")
    deviation = values - column_median(np.moveaxis(sliding_window_view(filled, SPIKE_WINDOW, axis=1), 2, 0))
    return np.where(np.abs(deviation) <= SPIKE_SIGMA * robust_scatter(deviation)[:, None], values, np.nan)


def _running_mean(windows: _Windows, values: Floats) -> Floats:
    """Means of float64[n, t] in the windows, NaN where one holds less than MIN_FILL of the fullest."""
    present = np.isfinite(values)
    [count], [total] = windows.sums(present.astype(np.float64)), windows.sums(np.where(present, values, 0.0))
    enough = count >= max(1.0, MIN_FILL * windows.counts.max())
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
