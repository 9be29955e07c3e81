"""Which aperture is best for each star: as its own scatter and that of like stars tell together."""

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics import robust_scatter, row_median

LIKE_STARS = 100  # of near brightness, that tell how the apertures compare for stars like this one
STANDS_OUT_SIGMA = 3.0  # a star further off its like is believed as it is, but for so much
HALF_POINTS = 4  # of each half of a light curve, for its scatter to be compared with the other's
MEDIAN_ERROR = 1.2533  # of a median over that of a mean, for a Gaussian
FAR_SIGMA = 3.0  # values further off count as so far

Floats = NDArray[np.float64]


def scatters_to_compare(flux: Floats) -> Floats:
    """Scatter of all, of the even and of the odd points of light curves float64[n, t]: float64[3, n], NaN of too few.

    Standard deviations about the median with far values drawn in: in Gaussian noise they err by half of what median
    absolute deviations do.
    """
    middle = row_median(flux)[:, None]
    limit = FAR_SIGMA * robust_scatter(flux)[:, None]
    square = np.square(np.clip(flux - middle, -limit, limit))
    scatter = np.full((3, len(flux)), np.nan)
    for number, points in enumerate((slice(None), slice(0, None, 2), slice(1, None, 2))):
        part = square[:, points]
        known = np.isfinite(part)
        count = known.sum(axis=1)
        enough = count >= HALF_POINTS
        total = np.where(known[enough], part[enough], 0.0).sum(axis=1)
        scatter[number, enough] = np.sqrt(total / count[enough])
    return scatter


def best_apertures(scatter: Floats, quoted: Floats, brightness: Floats) -> NDArray[np.int64]:
    """The aperture in which each star should scatter least.

    The smallest of three measured scatters is partly luck: on 60 frames of pure noise it lies 6 % too low, on five a
    third. How a star's apertures differ beyond their quoted errors is therefore drawn to how they differ for like
    stars, as far as it is noise: the two halves of the light curves show, group by group, which part of it comes again
    (empirical Bayes, as `pipeline.aperture.local_sky.draw_to_frame`). In a crowd a star's own neighbours decide, and
    on long nights its own scatter does.

    Args:
        scatter: float64[3, n, k], relative, NaN where unknown, see `scatters_to_compare`.
        quoted: float64[n, k], median quoted error, relative.
        brightness: float64[n], in any unit; NaN is the faintest.

    Returns:
        int64[n]. A star of which nothing is known gets the aperture that is best for most others, and the first when
        there is none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        promised = np.where(quoted > 0, np.log(quoted), np.nan)
        own, even, odd = (_among_apertures(np.log(one) - promised) for one in scatter)
    expected = np.zeros_like(promised)
    order = np.argsort(-np.nan_to_num(brightness, nan=-np.inf), kind="stable")
    for group in np.array_split(order, max(1, round(order.size / LIKE_STARS))):
        expected[group] = _drawn(own[group], even[group], odd[group])
    score = promised + expected
    known = np.isfinite(score)
    best = np.argmin(np.where(known, score, np.inf), axis=1)
    has_one = known.any(axis=1)
    if has_one.any():
        best[~has_one] = np.bincount(best[has_one], minlength=score.shape[1]).argmax()
    return np.asarray(best, dtype=np.int64)


def _among_apertures(excess: Floats) -> Floats:
    """Logarithms float64[n, k] less their mean over the apertures; NaN for a star that lacks one."""
    excess = np.where(np.isfinite(excess), excess, np.nan)
    return np.asarray(excess - excess.mean(axis=1, keepdims=True))


def _drawn(own: Floats, even: Floats, odd: Floats) -> Floats:
    """What is to be believed of float64[m, k]: of a star of which nothing is known, what its like show."""
    usual, spread = _usual(own)
    off = own - usual
    limit = STANDS_OUT_SIGMA * spread
    within = np.clip(off, -limit, limit)
    first, second = (half - _usual(half)[0] for half in (even, odd))
    trust = _share_that_comes_again(within, np.clip(first, -limit, limit), np.clip(second, -limit, limit))
    # What stands out in both halves is the star's own: a neighbour, as a rule.
    alike = np.where(np.sign(first) == np.sign(second), np.fmin(np.abs(first), np.abs(second)), 0.0)
    beyond = np.sign(first) * np.maximum(np.nan_to_num(alike) - limit, 0.0)
    return np.where(np.isfinite(own), usual + trust * within + np.nan_to_num(beyond), usual)


def _share_that_comes_again(whole: Floats, first: Floats, second: Floats) -> float:
    """Covariance of two halves over the variance of the whole, 0 to 1, less the standard error of the covariance."""
    product = first * second
    product = product[np.isfinite(product)]
    variance = float(np.nanmean(np.square(whole))) if np.isfinite(whole).any() else 0.0
    if not product.size or not variance > 0:
        return 0.0
    error = float(product.std()) / np.sqrt(product.size)
    return float(min(max(float(product.mean()) - error, 0.0) / variance, 1.0))


def _usual(values: Floats) -> tuple[Floats, Floats]:
    """Median and robust scatter of the columns of float64[m, k], float64[k] each; 0 without a value.

    A median that its own standard error explains counts for nothing (the positive part of James & Stein 1961): the
    quoted errors compare the apertures better than the luck of eight stars.
    """
    median, spread = np.nan_to_num(row_median(values.T)), np.nan_to_num(robust_scatter(values.T))
    count = np.maximum(np.count_nonzero(np.isfinite(values), axis=0), 1)
    luck = np.divide(
        np.square(MEDIAN_ERROR * spread) / count, np.square(median), out=np.ones_like(median), where=median != 0
    )
    return median * np.maximum(1.0 - luck, 0.0), spread
