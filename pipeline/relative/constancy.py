"""Which stars vary: those that scatter more than their errors and the other stars of the field let expect."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.statistics import robust_scatter, row_median
from pipeline.variability.boxes import best_box

WINDOW = 41  # stars of like brightness that one is compared with, at most
WINDOW_SHARE = 4  # of a poor field only a quarter are alike
MIN_WINDOW = 15  # three variables among five stars would pass for what is usual
SIGNIFICANT = 3.5  # sigma of the logarithm of a variance; a constant star that is taken for a variable costs little
CLIP_SIGMA = 5.0  # a single wild value counts as one of 5 sigma, an eclipse or a flare as many
RUNS = 12  # of a night, whose means show slow variations that the scatter of single points hides
MIN_RUN = 2  # epochs
BOX_FREEDOM = 30  # best boxes in white noise: the logarithm of their S/N² scatters as that of so many values' variance
MIN_STARS = 3  # fewer tell nothing about each other
STARS_PER_TERM = 2  # of the three that noise may consist of; fewer stars have only the first
FITS = 20  # reweighted, of that; more change it by a few per cent, far below what is significant
NNLS_STEPS = 100  # the usual nine for three terms could be too few
LEAST_RESIDUAL = 1e-3  # relative to the fit; weights of nearer stars would overflow
LEAST_VARIANCE = 1e-14  # relative: no photometry is exact, but made-up numbers may be


@dataclass(frozen=True)
class Spread:
    """How much n stars scatter: by single values, by means of runs, and by their best box.

    ``quoted`` float64[n]; ``variance`` float64[3, n], of one value, or what stands for it; ``freedom`` int64[3, n],
    degrees of freedom, 0 where there is nothing to tell.
    """

    quoted: NDArray[np.float64]
    variance: NDArray[np.float64]
    freedom: NDArray[np.int64]


def varying_stars(curves: LightCurves, brightness: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Stars whose light curve varies by more than the quoted errors, and what the field shows beyond them, promise.

    Args:
        curves: relative.
        brightness: float64[n], in any unit.

    Returns:
        bool[n]; False for stars with fewer than two values.
    """
    parts = [spread_of(np.where(part.usable, part.flux, np.nan), part.error, part.good) for _, part in curves.blocks()]
    return stand_out(parts, brightness)


def spread_of(relative: NDArray[np.float64], error: NDArray[np.float64], good: NDArray[np.bool_]) -> Spread:
    """Variances over the good epochs, bool[t], of relative light curves, float64[n, t], and their errors."""
    values, noise = relative[:, good], error[:, good]
    present = np.isfinite(values) & np.isfinite(noise)
    box, box_freedom = _of_boxes(values, noise)
    count = present.sum(axis=1)
    noise[~present] = 0.0
    quoted = np.maximum(np.square(noise).sum(axis=1) / np.maximum(count, 1), LEAST_VARIANCE)
    values[~present] = np.nan
    values -= row_median(values)[:, None]
    limit = CLIP_SIGMA * np.fmax(robust_scatter(values), np.sqrt(quoted))[:, None]
    np.clip(values, -limit, limit, out=values)
    values[~present] = 0.0
    single = np.square(values).sum(axis=1) / np.maximum(count - 1, 1)
    runs, runs_freedom = _of_runs(values, present)
    freedom = np.stack([np.maximum(count - 1, 0), runs_freedom, box_freedom])
    return Spread(quoted, np.stack([single, runs, box * quoted]), freedom)


def _of_boxes(values: NDArray[np.float64], noise: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Squared S/N of the best box by the quoted errors, and the degrees of freedom that stand for its scatter."""
    with np.errstate(divide="ignore", invalid="ignore"):  # depths, not looked at, of light curves about 0
        snr = best_box(np.arange(values.shape[1], dtype=np.float64), values, noise).snr
    return np.nan_to_num(np.square(snr)), np.where(np.isfinite(snr), BOX_FREEDOM, 0)


def _of_runs(
    deviation: NDArray[np.float64], present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Variance of the means of runs, scaled to one value, and its degrees of freedom; short nights have none."""
    length = present.shape[1] // RUNS
    if length < MIN_RUN:
        return np.zeros(len(present)), np.zeros(len(present), dtype=np.int64)
    starts = np.arange(RUNS) * length
    total = np.add.reduceat(deviation, starts, axis=1)
    values = np.add.reduceat(present, starts, axis=1, dtype=np.int64)
    full = 2 * values >= length
    runs = full.sum(axis=1)
    square = np.where(full, np.square(total) / np.maximum(values, 1), 0.0)
    return square.sum(axis=1) / np.maximum(runs - 1, 1), np.maximum(runs - 1, 0)


def stand_out(parts: Sequence[Spread], brightness: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which stars scatter more than their quoted errors and the other stars promise.

    Three measures of each star are looked at: the variance of its single values, that of the means of runs of a twelfth
    of the night, and the squared S/N of its best box. Each is compared with what the whole field promises (see
    `promised`), and the logarithm of the ratio with that of stars of like brightness.

    Args:
        parts: what `spread_of` gave for one block of stars after the other.
        brightness: float64[n] of all of them, in any unit.

    Returns:
        bool[n].
    """
    varying = np.zeros(len(brightness), dtype=np.bool_)
    if not parts:
        return varying
    quoted = np.concatenate([part.quoted for part in parts])
    variances, freedoms = (
        np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("variance", "freedom")
    )
    for variance, freedom in zip(variances, freedoms, strict=True):
        known = freedom > 0
        if known.sum() >= MIN_STARS:
            varying[known] |= _stand_out(variance[known], quoted[known], freedom[known], brightness[known])
    return varying


def _stand_out(
    variance: NDArray[np.float64],
    quoted: NDArray[np.float64],
    freedom: NDArray[np.int64],
    brightness: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether a variance is above what the quoted one, the field, and stars of like brightness promise."""
    order = np.argsort(brightness, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    variance = np.maximum(variance, LEAST_VARIANCE)
    excess = np.log(variance / promised(variance, quoted, brightness))
    typical, spread = _running(excess[order])
    noise = np.maximum(spread[place], np.sqrt(2.0 / freedom))
    return np.asarray(excess - typical[place] > SIGNIFICANT * noise)


def promised(
    variance: NDArray[np.float64], quoted: NDArray[np.float64], brightness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Variance of a constant star in this field: a · quoted + b / brightness + c, float64[n].

    ``a`` corrects the quoted errors, ``b`` is photon noise that they lack where the gain is unknown, ``c`` a floor that
    all stars share. None is negative. Least absolute deviations, by reweighted least squares: of a minority of
    variables only the number counts, not how much they vary. Few stars have no say in b and c.
    """
    from scipy.optimize import nnls  # see pipeline/__init__.py

    promised = quoted * np.exp(np.median(np.log(variance / quoted)))
    if variance.size < STARS_PER_TERM * 3:
        return np.asarray(promised)
    tiny = float(np.sqrt(np.finfo(np.float64).tiny))
    bright = np.isfinite(brightness) & (brightness > tiny)
    photons = np.divide(1.0, brightness, out=np.zeros(quoted.size), where=bright)
    terms = np.column_stack([quoted, photons, np.ones(quoted.size)])
    for _ in range(FITS):
        weight = 1.0 / (promised * np.sqrt(np.maximum(np.abs(variance / promised - 1.0), LEAST_RESIDUAL)))
        weighted = terms * weight[:, None]
        scale = np.maximum(weighted.max(axis=0), tiny)
        # Of four columns a triangle says all; of 30,000 stars the solver itself would take twenty times as long.
        triangle = np.asarray(np.linalg.qr(np.column_stack([weighted / scale, variance * weight]), mode="r"))
        share, _ = nnls(triangle[:, :-1], triangle[:, -1], maxiter=NNLS_STEPS)
        promised = np.maximum(terms @ (share / scale), LEAST_VARIANCE)
    return np.asarray(promised)


def _running(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and robust scatter of the window of values around each; at the ends, of the first and last window."""
    width = min(WINDOW, max(MIN_WINDOW, values.size // WINDOW_SHARE), values.size)
    windows = np.lib.stride_tricks.sliding_window_view(values, width)
    middle = np.clip(np.arange(values.size) - width // 2, 0, values.size - width)
    return row_median(windows)[middle], robust_scatter(windows)[middle]
