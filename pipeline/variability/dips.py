"""The best single dip or brightening in each light curve of a night, beside a trend and what the frames explain."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.statistics import row_median
from pipeline.variability.boxes import BoxEvent, log_false_alarm
from pipeline.variability.deviations import check_times, despiked, deviations
from pipeline.variability.nuisance import Weighted, red_scatter

Floats = NDArray[np.float64]

SPAN_SHARES = (0.03, 0.06, 0.1, 0.16, 0.23, 0.3, 0.38, 0.46)  # durations tried, of the time observed
STEPS = 8  # starts in a duration
INGRESS = 0.15  # of the duration, at either end: edges of a transit
# Of a dip within the night: with less a trend and a brightening at the end look like a dip in between.
LEAST_SEEN = 0.75
MIN_POINTS_IN = 4  # of a dip: fewer are a matter of outliers
LEFT_SHARE = 0.08  # of a dip's own weight that trend and frames must leave, else it is theirs


def best_dip(curves: LightCurves, columns: Floats | None = None, penalty: Floats | None = None) -> BoxEvent:
    """Slide trapezoids of eight durations over each light curve and keep that of the largest signal to noise.

    As `best_box`, but with edges, and with nuisance columns fitted beside each dip: what they could explain as well
    counts for nothing. The errors are scaled to the scatter about the dip and its red noise (`red_scatter`). ``snr`` is
    by that noise, ``start`` and ``duration`` run from first to last contact.

    Args:
        curves: raw or relative; fluxes that are not usable are NaN, too.
        columns: float64[k, t] of `nuisance`, the first of which is 1; a constant alone without it.
        penalty: float64[n, k] of `penalties`; columns are free without it.

    Raises:
        UnusableDataError: times that are not in order.
    """
    time = curves.time
    check_times(time)
    depth, snr, start, duration, false_alarm = (np.full(len(curves), np.nan) for _ in range(5))
    span = float(np.ptp(time)) if time.size else 0.0
    if span > 0:
        beside = np.ones((1, time.size)) if columns is None else columns
        shapes = list(_shapes(time, span))
        for rows, part in curves.blocks():
            flux, error = part.flux, part.error
            own = None if penalty is None else penalty[rows]
            known = Weighted.of(despiked(deviations(flux, error)), error, beside, own)
            depth[rows], snr[rows], start[rows], duration[rows] = _block(known, flux, error, beside, shapes)
        false_alarm = log_false_alarm(snr, SPAN_SHARES)
    return BoxEvent(depth, snr, start, duration, false_alarm)


def _shapes(time: Floats, span: float) -> Iterator[tuple[float, Floats, Floats]]:
    """Of each duration: itself, starts float64[m] and trapezoids of depth 1, float64[m, t]."""
    for share in SPAN_SHARES:
        duration = share * span
        before = (1.0 - LEAST_SEEN) * duration
        starts = np.arange(time[0] - before, time[-1] + before - duration, duration / STEPS)
        inside = (time - starts[:, None]) / duration
        shapes = np.clip(np.minimum(inside, 1.0 - inside) / INGRESS, 0.0, 1.0)
        enough = (shapes > 0.5).sum(axis=1) >= MIN_POINTS_IN
        if enough.any():
            yield duration, starts[enough], shapes[enough]


def _block(
    known: Weighted, flux: Floats, error: Floats, columns: Floats, shapes: list[tuple[float, Floats, Floats]]
) -> tuple[Floats, Floats, Floats, Floats]:
    count = (known.weight > 0).sum(axis=1)
    inverse: Floats = np.asarray(np.linalg.inv(known.normal), dtype=np.float64)
    root = np.linalg.cholesky(inverse)
    solved = (inverse @ known.projected[:, :, None])[:, :, 0]
    rest = known.values - (solved @ columns) * known.weight
    rows, best = np.arange(len(flux)), np.full(len(flux), -np.inf)
    height, start, duration = (np.full(len(flux), np.nan) for _ in range(3))
    shape = np.zeros(flux.shape)
    for length, starts, table in shapes:
        points = (known.weight > 0).astype(np.float64) @ (table > 0.5).T
        own = known.weight**2 @ (table**2).T
        beside = np.stack([known.weight**2 @ (table * column).T for column in columns], axis=2) @ root
        left = own - np.sum(beside**2, axis=2)
        moment = (rest * known.weight) @ table.T
        usable = (points >= MIN_POINTS_IN) & (count[:, None] - points >= MIN_POINTS_IN) & (left > LEFT_SHARE * own)
        with np.errstate(divide="ignore", invalid="ignore"):
            snr = np.where(usable, np.abs(moment) / np.sqrt(np.where(usable, left, 1.0)), -np.inf)
        at = np.argmax(snr, axis=1)
        better = snr[rows, at] > best
        best = np.where(better, snr[rows, at], best)
        height = np.where(better, moment[rows, at] / np.where(usable, left, 1.0)[rows, at], height)
        start, duration = np.where(better, starts[at], start), np.where(better, length, duration)
        shape = np.where(better[:, None], table[at], shape)
    found = best > -np.inf
    residual = _residual(known, columns, inverse, shape)
    noise = red_scatter(residual, known.weight > 0, count - len(columns) - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        typical = 1.0 / (np.where(known.weight > 0, 1.0 / error, 0.0).sum(axis=1) / count)
        depth = -height * typical / row_median(np.where(known.weight > 0, flux, np.nan))
        return (
            np.where(found, depth, np.nan),
            np.where(found, best / noise, np.nan),
            np.where(found, start, np.nan),
            np.where(found, duration, np.nan),
        )


def _residual(known: Weighted, columns: Floats, inverse: Floats, shape: Floats) -> Floats:
    """What columns and one shape a star leave of the deviations, float64[n, t], 0 where missing."""
    own = shape * known.weight
    share = (inverse @ ((own * known.weight) @ columns.T)[:, :, None])[:, :, 0]
    own = own - (share @ columns) * known.weight
    solved = (inverse @ known.projected[:, :, None])[:, :, 0]
    rest = known.values - (solved @ columns) * known.weight
    square = np.sum(own**2, axis=1, keepdims=True)
    return np.asarray(rest - own * np.sum(own * rest, axis=1, keepdims=True) / np.where(square > 0, square, 1.0))
