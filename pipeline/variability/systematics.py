"""Light curves that follow the frames or a neighbour rather than their own star."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.variability.deviations import blocks, deviations, tamed

Floats = NDArray[np.float64]

RIDGE = 1e-9


def explained_share(flux: Floats, error: Floats, covariates: Floats) -> Floats:
    """Share of each light curve's variance that a linear mix of the frames' properties explains (adjusted R²).

    Args:
        flux, error: float64[n, t], NaN where missing.
        covariates: float64[c, t], such as shift in x, in y, FWHM, sky, airmass; constant or missing ones are left out.

    Returns:
        float64[n], 0 for chance, 1 for a light curve that is nothing else; NaN with too few points.

    Raises:
        UnusableDataError: covariates of another length.
    """
    if covariates.ndim != 2 or covariates.shape[1:] != flux.shape[1:]:
        raise UnusableDataError(f"covariates {covariates.shape} of light curves {flux.shape}: expected (c, t), (n, t)")
    columns = _standardised(covariates)
    share = np.full(len(flux), np.nan)
    if not len(columns):
        return np.zeros(len(flux))
    for rows in blocks(flux.shape):
        share[rows] = _adjusted_r2(tamed(deviations(flux[rows], error[rows])), columns)
    return share


def neighbour_correlation(flux: Floats, error: Floats, xy: Floats, radius: float) -> Floats:
    """Largest correlation of each light curve with one of a brighter star nearby, float64[n]; 0 without neighbours.

    Args:
        flux: float64[n, t], ADU or relative, NaN where missing; of two neighbours the one with the smaller relative
            error is the brighter.
        error: float64[n, t].
        xy: float64[n, 2], pixels.
        radius: pixels, such as three apertures.
    """
    from scipy.spatial import KDTree

    highest = np.zeros(len(flux))
    tree = KDTree(xy)  # type: ignore[no-untyped-call]
    pairs = tree.query_pairs(radius, output_type="ndarray")  # type: ignore[no-untyped-call]
    if not len(pairs):
        return highest
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = np.nanmedian(np.where(np.isfinite(flux), error / np.abs(flux), np.inf), axis=1)
    faint = np.where(noise[pairs[:, 0]] > noise[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    bright = pairs.sum(axis=1) - faint
    for rows in blocks((len(pairs), flux.shape[1])):
        one, other = (tamed(deviations(flux[who[rows]], error[who[rows]])) for who in (faint, bright))
        np.maximum.at(highest, faint[rows], _correlation(one, other))
    return highest


def _standardised(covariates: Floats) -> Floats:
    """Covariates float64[c, t] of mean 0 and variance 1, the useless left out, missing values at the mean."""
    finite = np.isfinite(covariates)
    count = np.maximum(finite.sum(axis=1, keepdims=True), 1)
    filled = np.where(finite, covariates, 0.0)
    centred = np.where(finite, filled - filled.sum(axis=1, keepdims=True) / count, 0.0)
    spread = np.sqrt(np.mean(centred**2, axis=1, keepdims=True))
    return np.asarray(centred[spread[:, 0] > 0] / spread[spread[:, 0] > 0])


def _adjusted_r2(deviation: Floats, columns: Floats) -> Floats:
    present = np.isfinite(deviation)
    weight, values = present.astype(np.float64), np.where(present, deviation, 0.0)
    design = np.vstack([np.ones(columns.shape[1]), columns])
    outer = (design[:, None, :] * design[None, :, :]).reshape(-1, design.shape[1])
    normal = (weight @ outer.T).reshape(-1, len(design), len(design)) + RIDGE * np.eye(len(design))
    projected = values @ design.T
    count = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        solved = np.linalg.solve(normal, projected[:, :, None])[:, :, 0]
        mean = values.sum(axis=1) / count
        total = np.sum(values**2, axis=1) - count * mean**2
        rest = np.sum(values**2, axis=1) - np.sum(projected * solved, axis=1)
        degrees = count - len(design)
        share = 1.0 - rest / total * (count - 1.0) / degrees
    return np.where(degrees > 0, np.clip(share, 0.0, 1.0), np.nan)


def _correlation(one: Floats, other: Floats) -> Floats:
    both = np.isfinite(one) & np.isfinite(other)
    count = np.maximum(both.sum(axis=1, keepdims=True), 1)
    a, b = (np.where(both, values, 0.0) for values in (one, other))
    a, b = (np.where(both, values - values.sum(axis=1, keepdims=True) / count, 0.0) for values in (a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.sum(a * b, axis=1) / np.sqrt(np.sum(a**2, axis=1) * np.sum(b**2, axis=1))
    return np.where(np.isfinite(found), found, 0.0)
