"""Indices of variability from scatter and from the likeness of neighbouring points, for all stars at once."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.variability.deviations import check_times, deviations, tamed

Floats = NDArray[np.float64]

MAX_GAP_CADENCES = 5.0  # median steps between two points that still make a pair


@dataclass(frozen=True)
class VariabilityIndices:
    """float64[n] each; NaN for a light curve of too few points.

    Wild points are tamed (see `pipeline.variability.deviations.tamed`), except in `stetson_k`. A significance is in
    standard deviations of what a constant star with independent Gaussian noise of the quoted errors gives.

    Attributes:
        stetson_j: mean of ``sign(P) sqrt(|P|)``, P the product of neighbouring deviations (Stetson 1996, PASP 108, 851,
            each point paired with the next); 0 for white noise, grows with smooth variation.
        stetson_k: ``mean |d| / sqrt(mean d²)``; 0.798 for Gaussian noise, 0.90 for a sine, small for rare events.
        von_neumann: mean squared neighbouring difference of the deviations over their variance; 2 for white noise.
        chi2_reduced: of the deviations.
        excess_variance: variance minus that of the quoted errors, unit of the flux squared.
        stetson_j_significance, von_neumann_significance, excess_significance: of the three, large when the star varies.
    """

    stetson_j: Floats
    stetson_k: Floats
    von_neumann: Floats
    chi2_reduced: Floats
    excess_variance: Floats
    stetson_j_significance: Floats
    von_neumann_significance: Floats
    excess_significance: Floats


def variability_indices(curves: LightCurves) -> VariabilityIndices:
    """Indices of each light curve.

    Args:
        curves: raw or relative; fluxes that are not usable are NaN, too.

    Raises:
        UnusableDataError: times that are not in order.
    """
    check_times(curves.time)
    step = np.diff(curves.time)
    near = step <= MAX_GAP_CADENCES * np.median(step) if step.size else np.zeros(0, dtype=bool)
    columns = {field.name: np.full(len(curves), np.nan) for field in fields(VariabilityIndices)}
    for rows, part in curves.blocks():
        for name, found in _block(part.flux, part.error, near).items():
            columns[name][rows] = found
    return VariabilityIndices(**columns)


def _block(flux: Floats, error: Floats, near: NDArray[np.bool_]) -> dict[str, Floats]:
    wild = deviations(flux, error)
    deviation = tamed(wild)
    with np.errstate(divide="ignore", invalid="ignore"):
        count = np.isfinite(deviation).sum(axis=1).astype(np.float64)
        count[count == 0] = np.nan
        first, second = deviation[:, :-1], deviation[:, 1:]
        paired = np.isfinite(first) & np.isfinite(second) & near
        pairs = np.where(paired.any(axis=1), paired.sum(axis=1), np.nan)
        product = np.where(paired, first * second, 0.0)
        stetson_j = np.sum(np.sign(product) * np.sqrt(np.abs(product)), axis=1) / pairs
        centred = deviation - (np.nansum(deviation, axis=1) / count)[:, None]
        variance = np.nansum(centred**2, axis=1) / (count - 1.0)
        von_neumann = np.where(paired, (second - first) ** 2, 0.0).sum(axis=1) / pairs / variance
        # The sqrt(n / (n - 1)) of the deviations makes their mean square the reduced chi².
        chi2 = np.nansum(deviation**2, axis=1) / count
        quoted = np.nansum(np.where(np.isfinite(deviation), error, np.nan) ** 2, axis=1) / count
        squared = np.nansum((deviation * error) ** 2, axis=1) / count
        return {
            "stetson_j": stetson_j,
            "stetson_k": np.nansum(np.abs(wild), axis=1) / count / np.sqrt(np.nansum(wild**2, axis=1) / count),
            "von_neumann": von_neumann,
            "chi2_reduced": chi2,
            "excess_variance": squared - quoted,
            # E|P| = 2 / pi, and neighbouring pairs are uncorrelated.
            "stetson_j_significance": stetson_j * np.sqrt(pairs * np.pi / 2.0),
            "von_neumann_significance": (1.0 - von_neumann / 2.0) * np.sqrt(pairs),
            "excess_significance": _wilson_hilferty(chi2, count - 1.0),
        }


def _wilson_hilferty(chi2_reduced: Floats, degrees: Floats) -> Floats:
    """Standard normal equivalent of a reduced chi² (Wilson & Hilferty 1931)."""
    spread = 2.0 / (9.0 * degrees)
    return np.asarray((np.cbrt(chi2_reduced) - (1.0 - spread)) / np.sqrt(spread))
