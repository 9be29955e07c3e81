"""Stars and frames at once: the level of each star, and what each frame does to all of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics import row_median
from pipeline.zero_points.robust_regression import Regression, likely_excess, regress
from pipeline.zero_points.terms import LINEAR

ROUNDS = 30
CONVERGED = 5e-5  # mag, of any frame
OUTLIER_SIGMA = 4.5  # a single value beyond it is left out
FEWEST_ON_FRAME = 2  # stars
STEADINESS_FLOOR = 0.001  # mag: no star is believed to be steadier
STEADINESS_WEIGHT = 5.0  # frames that the stars' common steadiness is worth beside a star's own
FIRST_GRADIENT = 0.005  # mag, of the field terms of a frame; where there are none it shrinks to nothing
MEDIAN_OF_CHI2 = 0.4549  # of the square of a Gaussian of unit variance
MAX_PULL = 0.9  # of a value on its own fit that is made up for
SIGNIFICANT = 2.0  # standard deviations of chi² from which on a frame's stars scatter more than the night's

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Levels:
    """What was found; n stars, t frames, k terms of a frame (a constant and 0, 2 or 5 of the field)."""

    stars: Regression  # of the stars' levels on the design
    frames: Floats  # [t, k]; NaN where too few stars are measured
    covariance: Floats  # [t, k, k] of them
    count: NDArray[np.int64]  # [t], stars in use
    steadiness: float  # scatter of a typical star from frame to frame beside its errors, mag
    unrest: Floats  # [t], scatter that the stars have on a frame beside that, mag
    about: Floats  # [n, t], the stars' residuals about design and frames, NaN where not in use


def fit_levels(
    values: Floats,
    errors: Floats,
    good: Bools,
    design: Floats,
    prior: Floats,
    frame_design: Floats,
    shrunk: int = 0,
) -> Levels:
    """Fit ``values[s, f] = design[s] · c + own[s] + frame_design[s] · b[f]``.

    ``own`` is a star's own deviation, a Gaussian of the common scatter, which is found too; it holds on all frames, so
    that a star that is missing from a frame does not move that frame. Frames are weighted means over stars, each of
    which weighs by its errors and by how steady it is; stars are weighted means over frames; in turn, until nothing
    moves. A frame's field terms are Gaussian too, of a variance that all frames together tell (empirical Bayes): where
    there are no gradients they vanish, without a decision for or against them.

    Args:
        values: float64[n, t], G - instrumental magnitude, NaN where not usable.
        errors: float64[n, t], mag.
        good: bool[t], frames that tell levels; the others are only measured.
        design: float64[n, p], its first column ones.
        prior: float64[p], standard deviations of c.
        frame_design: float64[n, k], its first column ones.
        shrunk: so many last columns of the design have coefficients that may well be zero: their priors begin as given
            and become as wide as the stars show (empirical Bayes).
    """
    fit = _Fit(values, errors, good if good.any() else np.ones_like(good), design, prior, frame_design, shrunk)
    for _ in range(ROUNDS):
        before = fit.frames[:, 0].copy()
        fit.of_stars()
        fit.of_frames()
        fit.of_scatter()
        if np.nanmax(np.abs(fit.frames[:, 0] - before), initial=0.0) < CONVERGED:
            break
    return fit.result()


def medians(values: Floats, good: Bools) -> tuple[Floats, Floats]:
    """Medians over good frames and over stars in turn: levels of stars [n] and, above them, of frames [t]."""
    level = row_median(np.where(good, values, np.nan))
    frame = row_median((values - level[:, None]).T)
    level = row_median(np.where(good, values - frame, np.nan))
    return level, row_median((values - level[:, None]).T)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(share, 0.5 * share[-1])])


class _Fit:
    """The state of one fit."""

    def __init__(
        self,
        values: Floats,
        errors: Floats,
        good: Bools,
        design: Floats,
        prior: Floats,
        frame_design: Floats,
        shrunk: int,
    ) -> None:
        self.values, self.usable = np.nan_to_num(values), np.isfinite(values)
        self.noise = np.where(self.usable, errors, 1.0) ** 2
        self.good, self.design, self.prior, self.frame_design = good, design, prior.copy(), frame_design
        self.shrunk = slice(prior.size - shrunk, prior.size)
        n, t = values.shape
        self.squares = (frame_design[:, :, None] * frame_design[:, None, :]).reshape(n, -1)
        self.gradient = np.full(frame_design.shape[1] - 1, FIRST_GRADIENT**2)
        self.level, self.frames = np.zeros(n), np.zeros((t, frame_design.shape[1]))
        self.own_scatter, self.common, self.unrest = np.zeros(n), 0.0, np.zeros(t)
        self.inlier: Bools = self.usable
        self.kept: Bools = np.asarray(self.usable.any(axis=1))
        self.regression: Regression | None = None
        self._begin(values)

    def _begin(self, values: Floats) -> None:
        """Medians over stars and frames in turn."""
        _, frame = medians(values, self.good)
        self.frames[:, 0] = np.nan_to_num(frame)

    def _weight(self) -> Floats:
        variance = self.noise + self.own_scatter[:, None] + self.unrest
        return np.where(self.inlier & self.kept[:, None], 1.0 / variance, 0.0)

    def of_stars(self) -> None:
        """The stars' levels from the frames as they are; wild stars are left out from here on."""
        self.kept = np.asarray(self.usable[:, self.good].any(axis=1))
        weight = self._weight() * self.good
        total = weight.sum(axis=1)
        known: Bools = np.asarray(total > 0)
        residual = self.values - self.frame_design @ self.frames.T
        mean = np.divide((weight * residual).sum(axis=1), total, out=np.zeros(len(total)), where=known)
        variance = 1.0 / total[known]
        start = None if self.regression is None else self.regression.kept
        if start is not None and start.size != variance.size:
            start = None
        found = regress(mean[known], np.sqrt(variance), self.design[known], self.prior, start)
        self.regression = found
        spread = found.coefficients**2 + np.diag(found.covariance)
        self.prior[self.shrunk] = np.sqrt(np.maximum(spread[self.shrunk], 1e-12))
        # The constant belongs to the frames.
        self.frames[:, 0] += found.coefficients[0]
        model = self.design[known, 1:] @ found.coefficients[1:]
        share = found.scatter**2 / (found.scatter**2 + variance)
        self.level = np.zeros(len(total))
        self.level[known] = model + share * (mean[known] - found.coefficients[0] - model)
        self.kept = known.copy()
        self.kept[known] = found.kept

    def of_frames(self) -> None:
        """The frames' terms from the stars' levels as they are."""
        weight = self._weight()
        k = self.frame_design.shape[1]
        normal = (weight.T @ self.squares).reshape(-1, k, k)
        precision = np.concatenate([[1e-6], 1.0 / np.maximum(self.gradient, 1e-12)])
        self.covariance = np.linalg.inv(normal + np.diag(precision))
        right = (weight * (self.values - self.level[:, None])).T @ self.frame_design
        self.frames = np.einsum("tij,tj->ti", self.covariance, right)
        spread = self.frames[:, 1:] ** 2 + np.einsum("tii->ti", self.covariance)[:, 1:]
        measured = self.good & ((weight > 0).sum(axis=0) >= FEWEST_ON_FRAME)
        if measured.any() and k > 1:
            for group in (slice(0, LINEAR), slice(LINEAR, None)):
                if self.gradient[group].size:
                    self.gradient[group] = spread[measured][:, group].mean()

    def of_scatter(self) -> None:
        """Who is how steady, which frames are restless, and which values stand out."""
        weight = self._weight()
        residual = self.values - self.level[:, None] - self.frame_design @ self.frames.T
        k = self.frame_design.shape[1]
        judged = weight * self.good
        total = judged.sum(axis=1)
        # What a value pulled its frame and its star towards itself is missing from its residual.
        pull = weight * (self.squares @ self.covariance.reshape(-1, k * k).T)
        pull += judged / np.where(total > 0, total, 1.0)[:, None]
        square = residual**2 / (1.0 - np.minimum(pull, MAX_PULL))
        self._of_stars_in_time(judged, total, square)
        self._of_frames_unrest(weight, square)
        # Where half of a frame's stars are wild none is an outlier.
        usual = self.noise + self.own_scatter[:, None]
        typical = row_median(np.where(self.usable & self.kept[:, None], square / usual, np.nan).T) / MEDIAN_OF_CHI2
        limit = OUTLIER_SIGMA**2 * np.maximum(usual + self.unrest, usual * np.nan_to_num(typical))
        self.inlier = self.usable & (residual**2 < limit)

    def _of_stars_in_time(self, judged: Floats, total: Floats, square: Floats) -> None:
        epochs = (judged > 0).sum(axis=1)
        excess = np.zeros(len(total))
        np.divide((judged * (square - self.noise - self.unrest)).sum(axis=1), total, out=excess, where=total > 0)
        told = epochs > 1
        # An excess is as exact as the noise beside it is small.
        self.common = max(_weighted_median(excess[told], total[told] ** 2 / epochs[told]), 0.0) if told.any() else 0.0
        own = (STEADINESS_WEIGHT * self.common + epochs * excess) / (STEADINESS_WEIGHT + epochs)
        self.own_scatter = np.where(total > 0, np.maximum(own, STEADINESS_FLOOR**2), self.common)

    def _of_frames_unrest(self, weight: Floats, square: Floats) -> None:
        """The excess of a frame's stars over what noise and steadiness explain, where it is significant."""
        variance = self.noise + self.own_scatter[:, None]
        chi2 = np.where(weight > 0, square / variance, 0.0).sum(axis=0)
        count = (weight > 0).sum(axis=0)
        self.unrest = np.zeros(count.size)
        for t in np.flatnonzero(chi2 > count + SIGNIFICANT * np.sqrt(2.0 * count)):
            stars = weight[:, t] > 0
            residual, usual = np.sqrt(square[stars, t]), np.sqrt(variance[stars, t])
            self.unrest[t] = likely_excess(residual, usual, float(count[t])) ** 2

    def result(self) -> Levels:
        assert self.regression is not None
        in_use = self._weight() > 0
        count = in_use.sum(axis=0)
        enough = count >= FEWEST_ON_FRAME
        model = self.design[:, 1:] @ self.regression.coefficients[1:]
        about = self.values - model[:, None] - self.frame_design @ self.frames.T
        return Levels(
            stars=self.regression,
            frames=np.where(enough[:, None], self.frames, np.nan),
            covariance=np.asarray(self.covariance, dtype=np.float64),
            count=count,
            steadiness=float(np.sqrt(self.common)),
            unrest=np.sqrt(self.unrest),
            about=np.where(in_use, about, np.nan),
        )
