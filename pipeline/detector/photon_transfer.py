"""Gain, read noise and full well of a camera by photon transfer (Janesick 2001): variance against level."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.box_noise import BOX_PX, as_boxes, checkers, clipped_variance, without_outliers

CHECKERS = BOX_PX**2 // 4  # of a box: what its variance is of
# Of level: brighter pixels that share charge bend as the first, a response that flattens as the third.
POWERS = (1, 2, 3)
UNSEEN_BEND = 0.03  # of the gain, where levels span too little to tell a bend: what usual cameras have
SPAN = 3.0  # of levels, from which the curve's bend is told from its slope
PERCENTILES = (5.0, 95.0)  # of the boxes' levels, that tell the span
FIT_SHARE = 0.5  # of the saturation or turn-over: above it the curve is bent by more than a parabola
FEWEST_BOXES = 16
MIN_SIGNIFICANCE = 10.0  # of photon noise
ROUNDS = 4
CLIP_SIGMA = 4.0
BINS = 40
FEWEST_IN_BIN = 4
TURNED = 0.8  # of the greatest variance: what lies above it in level and below this is past the turn-over
PILE_SHARE = 0.9  # of pixels at one level: a frame that is all full

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error; ``bound``: it is `at least` or `at most` so much."""

    value: float
    error: float
    bound: str = ""

    def times(self, other: "Estimate") -> "Estimate":
        """The product of independent ones."""
        return Estimate(
            self.value * other.value, float(np.hypot(self.error * other.value, self.value * other.error)), self.bound
        )


@dataclass(frozen=True)
class ReadVariance:
    """Variance (ADU²) of one frame without light, digitisation included.

    Attributes:
        whole: of all pixels of a box, rows and columns that move together included.
        checkers: of neighbouring pixels against each other: what adds to the photon noise in `Boxes`.
    """

    whole: Estimate
    checkers: Estimate


@dataclass(frozen=True)
class Boxes:
    """Boxes of pairs of flats: float64[n] each; level and ratio to the second flat's, variance of the difference."""

    level: Floats  # ADU above the bias
    ratio: Floats
    variance: Floats  # ADU²

    def single(self, read: float) -> Floats:
        """Variance of one flat of that level, ADU²; ``read``: variance without light."""
        return (self.variance - read * (1.0 + self.ratio**2)) / (1.0 + self.ratio) + read


@dataclass(frozen=True)
class Transfer:
    """A fitted photon-transfer curve: ``variance = read + level / gain (1 + bend level ** power)``."""

    gain: Estimate  # e-/ADU
    bend: Estimate | None  # per ADU ** power; None where levels span too little to tell it
    boxes: int
    power: int = 1


def read_variance(first: NDArray[Any], second: NDArray[Any], step: int = 1) -> ReadVariance | None:
    """From two frames without light: real[ny, nx], ADU, that come in steps; None of frames smaller than a box."""
    if min(first.shape) < BOX_PX:
        return None
    difference = as_boxes(first) - as_boxes(second)
    difference -= difference.mean(axis=(1, 2), keepdims=True)
    pixels, neighbours = difference.reshape(len(difference), -1), checkers(difference)
    return ReadVariance(
        _mean(clipped_variance(pixels, step / 2.0) / 2.0), _mean(clipped_variance(neighbours, step / 2.0) / 2.0)
    )


def together(found: Sequence[Estimate]) -> Estimate:
    """Mean of estimates of one thing; its error also by how they differ."""
    values, errors = np.array([one.value for one in found]), np.array([one.error for one in found])
    formal = float(np.sqrt(np.sum(errors**2))) / len(found)
    spread = float(np.std(values, ddof=1)) / np.sqrt(len(found)) if len(found) > 2 else 0.0
    return Estimate(float(values.mean()), max(formal, spread))


def fit_transfer(boxes: Boxes, read: Estimate, ceiling: float | None) -> Transfer | None:
    """Gain from boxes up to ``ceiling`` (ADU above the bias), by weighted regression without outliers.

    Brighter pixels share their charge with neighbours (the brighter-fatter effect) and the response flattens: both bend
    the curve, which therefore has a bend of its own where levels span a factor of SPAN.
    """
    usable = boxes.level > 0
    if ceiling is not None:
        usable &= boxes.level < FIT_SHARE * ceiling
    if usable.sum() < FEWEST_BOXES:
        return None
    level, ratio, variance = boxes.level[usable], boxes.ratio[usable], boxes.variance[usable]
    low, high = np.percentile(level, PERCENTILES)
    is_bent = bool(high > SPAN * low)
    fits = [_fit(level, ratio, variance, read.value, power) for power in (POWERS if is_bent else (0,))]
    best = min(fits, key=lambda fit: fit.chi2)
    shifted = _fit(level, ratio, variance, read.value + read.error, best.power)
    slope, slope_error = _averaged(fits, best)
    unseen = 0.0 if is_bent else UNSEEN_BEND * slope
    error = float(np.linalg.norm([slope_error, shifted.slope - best.slope, unseen]))
    below = level < level.max() / 2.0
    if is_bent and below.sum() >= FEWEST_BOXES:  # by how much a curve of another bend would be off
        other = _fit(level[below], ratio[below], variance[below], read.value, best.power)
        error = float(np.sqrt(error**2 + max((other.slope - slope) ** 2 - other.slope_error**2, 0.0)))
    if not slope > MIN_SIGNIFICANCE * error:
        return None
    return Transfer(Estimate(1.0 / slope, error / slope**2), best.bend, best.boxes, best.power)


def _averaged(fits: "Sequence[_Fit]", best: "_Fit") -> tuple[float, float]:
    """Slope and error over all shapes, each as likely as it fits (Hoeting et al. 1999): the best one alone is luck."""
    weights = np.array([np.exp(-(fit.chi2 - best.chi2) / 2.0) for fit in fits])
    slopes, errors = np.array([fit.slope for fit in fits]), np.array([fit.slope_error for fit in fits])
    weights /= weights.sum()
    slope = float(weights @ slopes)
    return slope, float(np.sqrt(weights @ (errors**2 + (slopes - slope) ** 2)))


def curve(boxes: Boxes, read: float) -> tuple[Floats, Floats]:
    """Levels and variances, float64[m], ADU and ADU²: medians of boxes in bins of level."""
    usable = boxes.level > 0
    level, variance = boxes.level[usable], boxes.single(read)[usable]
    if not level.size:
        return np.empty(0), np.empty(0)
    edges = np.geomspace(level.min(), level.max() * (1.0 + 1e-9), BINS + 1)
    number = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, BINS - 1)
    bins = [number == n for n in range(BINS)]
    bins = [inside for inside in bins if inside.sum() >= FEWEST_IN_BIN]
    return (
        np.array([np.median(level[inside]) for inside in bins]),
        np.array([np.median(variance[inside]) for inside in bins]),
    )


def turn_over(level: Floats, variance: Floats) -> Estimate | None:
    """Level (ADU above the bias) from which the variance falls although the light grows; None where it never does."""
    if level.size < 3:
        return None
    peak = int(np.argmax(variance))
    if peak == level.size - 1 or variance[peak + 1 :].min() > TURNED * variance[peak]:
        return None
    below = level[peak - 1] if peak else level[peak]
    return Estimate(float(level[peak]), float((level[peak + 1] - below) / 2.0))


def full_level(counts: NDArray[Any], dark_level: float) -> float | None:
    """The level of a frame whose pixels nearly all are at one level far above the dark one: it is all full."""
    if not np.issubdtype(counts.dtype, np.integer):
        return None
    highest = counts.max()
    is_full = np.count_nonzero(counts == highest) >= PILE_SHARE * counts.size and highest > 2.0 * dark_level
    return float(highest) if is_full else None


def step_of(counts: NDArray[Any]) -> int:
    """ADU from one possible count to the next: cameras of 12 bits often store multiples of 16."""
    if not np.issubdtype(counts.dtype, np.integer):
        return 1
    return max(int(np.gcd.reduce(np.unique(counts).astype(np.int64))), 1)


def _mean(values: Floats) -> Estimate:
    values = values[np.isfinite(values)]
    kept = values[without_outliers(values)]
    return Estimate(float(kept.mean()), float(kept.std() / np.sqrt(max(kept.size - 1, 1))))


@dataclass(frozen=True)
class _Fit:
    """Photon variance over light: ``slope (1 + bend (level / highest) ** power)``; power 0: no bend."""

    power: int
    slope: float  # ADU/e-
    slope_error: float
    bend: Estimate | None  # per ADU**power
    chi2: float
    boxes: int


def _fit(level: Floats, ratio: Floats, variance: Floats, read: float, power: int) -> _Fit:
    """By weighted regression, without outliers; chi2 in units of what boxes scatter."""
    scale = float(level.max())
    light, dark = level * (1.0 + ratio), read * (1.0 + ratio**2)
    measured = (variance - dark) / light
    terms = np.column_stack([np.ones_like(level), (level / scale) ** power][: 1 + (power > 0)])
    used = without_outliers(measured)
    values = np.array([np.median(measured[used]), 0.0][: terms.shape[1]])
    errors, chi2 = np.full(values.size, np.inf), np.inf
    for _ in range(ROUNDS):
        expected = np.maximum(terms @ values, 0.1 * abs(values[0])) * light + dark
        sigma = expected * np.sqrt(2.0 / CHECKERS) / light
        design = terms[used] / sigma[used, None]
        inverse = np.linalg.pinv(design.T @ design)
        values = inverse @ design.T @ (measured[used] / sigma[used])
        away = (measured - terms @ values) / sigma
        reduced = float(np.sum(away[used] ** 2)) / max(int(used.sum()) - values.size, 1)
        errors = np.sqrt(np.diag(inverse) * max(reduced, 1.0))
        limit = CLIP_SIGMA * max(np.sqrt(np.median(away**2) / 0.455), 1.0)
        used = np.abs(away) <= limit
        chi2 = float(np.sum(np.minimum(np.abs(away), limit) ** 2)) / max(reduced, 1.0)
    slope = float(values[0])
    bend = None
    if power:
        bend = Estimate(float(values[1] / slope / scale**power), float(errors[1] / slope / scale**power))
    return _Fit(power, slope, float(errors[0]), bend, chi2, int(used.sum()))
