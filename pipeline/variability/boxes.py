"""The best single box in each light curve of a night: one dip, or one brightening."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import blocks
from pipeline.statistics import row_median
from pipeline.variability.deviations import check_times, deviations, tamed

Floats = NDArray[np.float64]

SPAN_SHARES = (0.02, 0.04, 0.08, 0.16, 0.3)  # durations tried, of the time observed
MIN_POINTS_IN = 4  # of a box: fewer are a matter of outliers
TRIALS_PER_DURATION = 6.0  # independent boxes, times span over duration, both signs together; measured on white noise


@dataclass(frozen=True)
class BoxEvent:
    """[n] each; NaN for a light curve of too few points.

    Attributes:
        depth: float64, share of the flux by which the box lies lower than the rest; negative for a brightening.
        snr: float64, of the depth, by the quoted errors.
        start, duration: float64, days.
        log_false_alarm: float64, ln of the probability that white noise of the quoted errors has such a box anywhere.
    """

    depth: Floats
    snr: Floats
    start: Floats
    duration: Floats
    log_false_alarm: Floats


def best_box(time: Floats, flux: Floats, error: Floats) -> BoxEvent:
    """Slide boxes of five durations over each light curve and keep that of the largest signal to noise.

    The single-event limit of box least squares (Kovács et al. 2002, A&A 391, 369), by running sums for all stars.

    Args:
        time: float64[t], days, in order.
        flux: float64[n, t], any unit, NaN where missing or flagged.
        error: float64[n, t], one standard deviation.

    Raises:
        UnusableDataError: times that are not in order.
    """
    check_times(time)
    depth, snr, start, duration, false_alarm = (np.full(len(flux), np.nan) for _ in range(5))
    span = float(np.ptp(time)) if time.size else 0.0
    if span > 0:
        for rows in blocks(*flux.shape):
            depth[rows], snr[rows], start[rows], duration[rows] = _block(time, flux[rows], error[rows], span)
        false_alarm = log_false_alarm(snr, SPAN_SHARES)
    return BoxEvent(depth, snr, start, duration, false_alarm)


def _block(time: Floats, flux: Floats, error: Floats, span: float) -> tuple[Floats, Floats, Floats, Floats]:
    deviation = tamed(deviations(flux, error))
    present = np.isfinite(deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(present, error**-2.0, 0.0)
        value = np.where(present, deviation * error, 0.0)
        total = weight.sum(axis=1, keepdims=True)
        value -= np.where(present, (weight * value).sum(axis=1, keepdims=True) / total, 0.0)
    sums = [_cumulative(part) for part in (weight, weight * value, present.astype(np.float64))]
    rows, best = np.arange(len(flux)), np.full(len(flux), -np.inf)
    depth, start, duration = (np.full(len(flux), np.nan) for _ in range(3))
    for share in SPAN_SHARES:
        end = np.searchsorted(time, time + share * span, side="right")
        inside, moment, points = (part[:, end] - part[:, :-1] for part in sums)
        outside = total - inside
        with np.errstate(divide="ignore", invalid="ignore"):
            # The mean over all points is 0: what the box has the rest lacks.
            difference = moment / inside + moment / outside
            snr = np.abs(difference) / np.sqrt(1.0 / inside + 1.0 / outside)
        snr = np.where((points >= MIN_POINTS_IN) & (sums[2][:, -1:] - points >= MIN_POINTS_IN), snr, -np.inf)
        at = np.argmax(snr, axis=1)
        better = snr[rows, at] > best
        best = np.where(better, snr[rows, at], best)
        depth = np.where(better, -difference[rows, at], depth)
        start = np.where(better, time[at], start)
        duration = np.where(better, share * span, duration)
    return depth / row_median(np.where(present, flux, np.nan)), np.where(best >= 0, best, np.nan), start, duration


def _cumulative(values: Floats) -> Floats:
    """Running sums float64[n, t + 1] that start with 0."""
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))


def log_false_alarm(snr: Floats, shares: Sequence[float]) -> Floats:
    """ln of ``1 - (1 - 2 Q(snr)) ** trials`` for the best of boxes of these durations, shares of the time observed."""
    from scipy.special import log_ndtr

    trials = TRIALS_PER_DURATION * sum(1.0 / share for share in shares)
    log_single = np.log(2.0) + log_ndtr(-snr)
    with np.errstate(divide="ignore", invalid="ignore"):
        survived = trials * np.log1p(-np.exp(np.minimum(log_single, -1e-12)))
        # Where the probability is tiny 1 - exp(x) is -x, and x itself underflows.
        return np.asarray(np.where(log_single < -30.0, np.log(trials) + log_single, np.log(-np.expm1(survived))))
