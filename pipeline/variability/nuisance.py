"""What a night's trend and the frames' properties explain of each light curve, taken out or marginalised."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.light_curves import LightCurves
from pipeline.variability.deviations import despiked, deviations

Floats = NDArray[np.float64]

TREND_DEGREE = 2  # a parabola: extinction by colour and what drifts with the telescope look like one
POINTS_A_COLUMN = 8  # fewer would let the columns explain the noise
BIN_SIZES = (4, 6, 8, 12)  # points of the means that tell red noise
MIN_BINS = 4
RESPONSE_FACTOR = 3.0  # of like stars' typical response, that a star may have without a reason of its own
LEAST_SHARE = 0.5  # of its noise: nothing smaller is known of a response
RIDGE = 1e-9  # of the points, on the diagonal of standardised columns


@dataclass(frozen=True)
class Nuisance:
    """Columns that are no variability, float64[k, t] each, standardised; the first of `trend` is 1.

    Attributes:
        trend: 1, time and its square, orthogonal.
        frames: the frames' properties, orthogonal to nothing.
    """

    trend: Floats
    frames: Floats

    @property
    def all(self) -> Floats:
        """Both, float64[k, t]."""
        return np.vstack([self.trend, self.frames])


def nuisance(time: Floats, covariates: Floats) -> Nuisance:
    """Columns of a night: as many covariates, in their order, as POINTS_A_COLUMN times their number allow.

    Args:
        time: float64[t], days, in order.
        covariates: float64[c, t], such as FWHM, its square, sky; constant ones are left out, missing values are means.

    Raises:
        UnusableDataError: covariates of another length.
    """
    if covariates.ndim != 2 or covariates.shape[1] != time.size:
        raise UnusableDataError(f"covariates {covariates.shape} of {time.size} times: expected (c, t)")
    span = float(np.ptp(time)) if time.size else 0.0
    since = (time - time.mean()) / span if span > 0 else np.zeros(time.size)
    powers = np.stack([np.ones(time.size), *_standardised(np.stack([since**n for n in range(1, TREND_DEGREE + 1)]))])
    room = max(0, time.size // POINTS_A_COLUMN - len(powers))
    return Nuisance(powers, _standardised(covariates)[:room])


def without(curves: LightCurves, columns: Floats, penalty: Floats | None = None) -> LightCurves:
    """Light curves minus the columns' part in them, their medians kept; NaN stays.

    Weighted by the errors; single wild points are pulled in (`despiked`).

    Args:
        curves: raw or relative.
        columns: float64[k, t], the first of which is 1.
        penalty: float64[n, k] of `penalties`; none without it.
    """
    cleaned = np.full(curves.flux.shape, np.nan)
    for rows, part in curves.blocks():
        deviation = deviations(part.flux, part.error)
        theirs = fitted(despiked(deviation), part.error, columns, None if penalty is None else penalty[rows])
        with np.errstate(invalid="ignore"):
            cleaned[rows] = np.where(np.isfinite(deviation), part.flux - theirs * part.error, np.nan)
    return replace(curves, flux=cleaned)


def fitted(deviation: Floats, error: Floats, columns: Floats, penalty: Floats | None = None) -> Floats:
    """The columns' part in deviations float64[n, t], in units of the errors; the constant's is left out."""
    weighted = Weighted.of(deviation, error, columns, penalty)
    solved = np.linalg.solve(weighted.normal, weighted.projected[:, :, None])[:, :, 0]
    return np.asarray((solved[:, 1:] @ columns[1:]) * weighted.weight)


@dataclass(frozen=True)
class Weighted:
    """Normal equations of n light curves: each point's column values over its error, scaled to a typical error.

    Attributes:
        weight: float64[n, t], typical over own error, 0 where missing.
        values: float64[n, t], deviations, 0 where missing.
        normal: float64[n, k, k]; projected: float64[n, k].
    """

    weight: Floats
    values: Floats
    normal: Floats
    projected: Floats

    @classmethod
    def of(cls, deviation: Floats, error: Floats, columns: Floats, penalty: Floats | None = None) -> "Weighted":
        """Of deviations in units of their errors, float64[n, t]; ``penalty``: float64[n, k], see `penalties`."""
        present = np.isfinite(deviation)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.where(present, 1.0 / error, 0.0)
            weight = inverse / np.maximum(
                inverse.sum(axis=1, keepdims=True) / present.sum(axis=1, keepdims=True), 1e-300
            )
        weight = np.where(present, weight, 0.0)
        values = np.where(present, deviation, 0.0)
        k = len(columns)
        outer = (columns[:, None, :] * columns[None, :, :]).reshape(k * k, -1)
        normal = (weight**2 @ outer.T).reshape(-1, k, k) + RIDGE * max(1, columns.shape[1]) * np.eye(k)
        if penalty is not None:
            normal[:, np.arange(k), np.arange(k)] += penalty
        return cls(weight, values, normal, (values * weight) @ columns.T)


def penalties(curves: LightCurves, columns: Nuisance, alike: Callable[[Floats], Floats]) -> Floats:
    """How strongly each light curve's response to the frames is drawn to 0: its noise over what like stars respond.

    A star responds to seeing and sky about as like stars do. Where a fit left free finds more, as for a
    transit that happened as the seeing changed, that is the star's.

    Args:
        curves: raw or relative.
        columns: of the night.
        alike: of responses squared, float64[n], the typical one of stars like each, float64[n].

    Returns:
        float64[n, k], to be added to the diagonal of normal equations; 0 for the trend.
    """
    trend = len(columns.trend)
    found = np.zeros((len(curves), len(columns.all)))
    own, noise, scale = np.full(found.shape, np.nan), np.full(found.shape, np.nan), np.full(len(curves), np.nan)
    for rows, part in curves.blocks():
        deviation = despiked(deviations(part.flux, part.error))
        known = Weighted.of(deviation, part.error, columns.all)
        inverse = np.linalg.inv(known.normal)
        solved = (inverse @ known.projected[:, :, None])[:, :, 0]
        rest = known.values - (solved @ columns.all) * known.weight
        present = known.weight > 0
        degrees = present.sum(axis=1) - float(len(columns.all))
        scatter = red_scatter(rest, present, degrees)
        with np.errstate(divide="ignore", invalid="ignore"):
            typical = 1.0 / (np.where(present, 1.0 / part.error, 0.0).sum(axis=1) / present.sum(axis=1))
            typical /= np.nanmedian(np.where(present, part.flux, 1.0), axis=1)
            scale[rows] = scatter * typical
            own[rows] = (solved * typical[:, None]) ** 2
            noise[rows] = np.diagonal(inverse, axis1=1, axis2=2) * (scale[rows] ** 2)[:, None]
    for number in range(trend, len(columns.all)):
        # What is left of the squared responses beyond those of noise.
        usual = np.maximum(alike(own[:, number] - noise[:, number]), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[:, number] = scale**2 / (RESPONSE_FACTOR**2 * usual + LEAST_SHARE**2 * noise[:, number])
    return np.nan_to_num(found, nan=0.0, posinf=0.0)


def trend_test(curves: LightCurves, trend: Floats) -> tuple[Floats, Floats]:
    """How far each light curve departs from a constant along the whole night.

    Args:
        curves: raw or relative.
        trend: float64[k, t] of `nuisance`.

    Returns:
        float64[n], the trend in standard deviations of a Gaussian that is as improbable, by the scatter about it and
        its red noise; float64[n], range of the trend over the night, share of the flux.
    """
    sigma, reach = np.full(len(curves), np.nan), np.full(len(curves), np.nan)
    for rows, block in curves.blocks():
        deviation = despiked(deviations(block.flux, block.error))
        part = fitted(deviation, block.error, trend)
        present = np.isfinite(deviation)
        count = present.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.where(present, deviation, 0.0).sum(axis=1, keepdims=True) / count[:, None]
            rest = deviation - part
            rest = np.where(
                present, rest - np.where(present, rest, 0.0).sum(axis=1, keepdims=True) / count[:, None], 0.0
            )
            before = np.sum(np.where(present, deviation - level, 0.0) ** 2, axis=1)
            scatter = red_scatter(rest, present, count - float(len(trend)))
            # A chi² of two degrees of freedom exceeds x with probability exp(-x / 2).
            taken = np.maximum(before - np.sum(rest**2, axis=1), 0.0) / scatter**2
            sigma[rows] = np.where(count > len(trend), normal_equivalent(-0.5 * taken), np.nan)
            shape = np.where(present, part * block.error, np.nan)
            known = present.any(axis=1)
            ends = np.nanmax(shape[known], axis=1) - np.nanmin(shape[known], axis=1)
            reach[np.arange(len(curves))[rows][known]] = ends / np.nanmedian(block.flux[known], axis=1)
    return sigma, reach


def normal_equivalent(log_chance: Floats) -> Floats:
    """Standard deviations above which a Gaussian has this chance, of its ln."""
    from scipy.special import ndtri_exp

    return np.asarray(-ndtri_exp(np.minimum(log_chance, -1e-12)))


def red_scatter(residual: Floats, present: NDArray[np.bool_], degrees: Floats) -> Floats:
    """Standard deviation float64[n] of residuals in units of their errors, times β; 1 for white noise as quoted.

    β is how much worse than white noise means of neighbours are (Pont, Zucker & Queloz 2006): the median over
    BIN_SIZES.

    Args:
        residual: float64[n, t], 0 where missing.
        present: bool[n, t].
        degrees: float64[n], of freedom.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scatter = np.sqrt(np.sum(residual**2, axis=1) / degrees)
        factors = []
        for size in BIN_SIZES:
            bins = residual.shape[1] // size
            if bins < MIN_BINS:
                continue
            cut = bins * size
            sums = residual[:, :cut].reshape(-1, bins, size).sum(axis=2)
            counts = present[:, :cut].reshape(-1, bins, size).sum(axis=2)
            full = np.maximum((counts > 0).sum(axis=1), 1)
            # A sum of n residuals over sqrt(n) scatters as one does, where noise is white.
            factors.append(np.sqrt(np.sum(sums**2 / np.maximum(counts, 1), axis=1) / full) / scatter)
        beta = np.maximum(np.median(factors, axis=0), 1.0) if factors else np.ones(len(residual))
        return np.asarray(np.where(degrees > 0, scatter * beta, np.nan))


def _standardised(columns: Floats) -> Floats:
    """Columns of mean 0 and variance 1, each without what those before it explain; useless ones left out."""
    kept: list[Floats] = []
    for column in columns:
        finite = np.isfinite(column)
        if not finite.any():
            continue
        centred = np.where(finite, column - column[finite].mean(), 0.0)
        scale = float(np.sqrt(np.mean(centred**2)))
        for other in kept:
            centred = centred - other * np.mean(centred * other)
        spread = float(np.sqrt(np.mean(centred**2)))
        if scale > 0 and spread > 1e-6 * scale:
            kept.append(centred / spread)
    return np.array(kept).reshape(len(kept), columns.shape[1])
