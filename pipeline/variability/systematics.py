"""Light curves that follow a neighbour rather than their own star."""

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves, blocks
from pipeline.nearest import tree_of
from pipeline.variability.deviations import deviations, tamed

Floats = NDArray[np.float64]

SMOOTHED = 8  # points of the means that are compared, too: their noise hides less
SMOOTHED_MEANS = 8  # independent ones at least: fewer are alike by chance


def neighbour_correlation(curves: LightCurves, radius: float) -> Floats:
    """Largest correlation of each light curve with one of a brighter star nearby, float64[n]; 0 without neighbours.

    Single points are compared, and means of SMOOTHED neighbours: a variable's light in the aperture of a faint star may
    be less than the noise of a point.

    Args:
        curves: raw or relative; of two neighbours the one with the smaller relative error is the brighter.
        radius: pixels, such as three apertures.
    """
    flux, error = curves.flux, curves.error
    highest = np.zeros(len(flux))
    pairs = tree_of(curves.xy).query_pairs(radius, output_type="ndarray")  # type: ignore[no-untyped-call]
    if not len(pairs):
        return highest
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = np.nanmedian(np.where(np.isfinite(flux), error / np.abs(flux), np.inf), axis=1)
    faint = np.where(noise[pairs[:, 0]] > noise[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    bright = pairs.sum(axis=1) - faint
    for rows in blocks(len(pairs), flux.shape[1]):
        one, other = (tamed(deviations(flux[who[rows]], error[who[rows]])) for who in (faint, bright))
        np.maximum.at(highest, faint[rows], _correlation(one, other))
        if flux.shape[1] >= SMOOTHED * SMOOTHED_MEANS:
            np.maximum.at(highest, faint[rows], _correlation(_smoothed(one), _smoothed(other)))
    return highest


def _smoothed(values: Floats) -> Floats:
    """Running means of SMOOTHED points float64[n, t - SMOOTHED + 1]; NaN where all are missing."""
    sums, counts = (
        np.cumsum(np.pad(part, ((0, 0), (1, 0))), axis=1)
        for part in (np.nan_to_num(values), np.isfinite(values).astype(np.float64))
    )
    total, count = (part[:, SMOOTHED:] - part[:, :-SMOOTHED] for part in (sums, counts))
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1.0), np.nan))


def _correlation(one: Floats, other: Floats) -> Floats:
    both = np.isfinite(one) & np.isfinite(other)
    count = np.maximum(both.sum(axis=1, keepdims=True), 1)
    a, b = (np.where(both, values, 0.0) for values in (one, other))
    a, b = (np.where(both, values - values.sum(axis=1, keepdims=True) / count, 0.0) for values in (a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.sum(a * b, axis=1) / np.sqrt(np.sum(a**2, axis=1) * np.sum(b**2, axis=1))
    return np.where(np.isfinite(found), found, 0.0)
