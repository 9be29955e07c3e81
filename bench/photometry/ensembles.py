"""Raw fluxes to light curves: by the plain mean of bright comparison stars, and by Tianyu's own ensemble."""

import numpy as np
from numpy.typing import NDArray

from bench.photometry.light_curves import Floats, LightCurves, RawFluxes
from pipeline.light_curves import LightCurves as Measured
from pipeline.relative import calibrate_ensemble, ensemble_candidates
from pipeline.statistics import row_median

COMPARISONS = 50  # brightest stars that look constant
VARIABLE = 3.0  # times the median scatter of the stars chosen: not constant
PASSES = 3
SUFFIX = ", Tianyu's ensemble"


def plain(raw: RawFluxes, saturated: NDArray[np.bool_]) -> LightCurves:
    """Each star over the mean flux of the brightest unsaturated, constant-looking stars, itself left out."""
    relative = np.stack([_plain(raw.flux[:, :, k], saturated) for k in range(raw.flux.shape[2])], axis=2)
    return LightCurves(raw.tool, relative, raw.radii)


def _plain(flux: Floats, saturated: NDArray[np.bool_]) -> Floats:
    usable = np.isfinite(flux).all(axis=1) & (flux > 0).all(axis=1) & ~saturated
    order = np.argsort(-np.where(usable, np.nan_to_num(flux).mean(axis=1), -np.inf))
    chosen = order[: min(COMPARISONS, int(usable.sum()))]
    for _ in range(PASSES):
        light_curves = _over_mean(flux, chosen)[chosen]
        scatter = light_curves.std(axis=1) / light_curves.mean(axis=1)
        chosen = chosen[scatter < VARIABLE * np.median(scatter)]
    return _over_mean(flux, chosen)


def _over_mean(flux: Floats, chosen: NDArray[np.int64]) -> Floats:
    is_chosen = np.zeros(len(flux), dtype=bool)
    is_chosen[chosen] = True
    total = flux[chosen].sum(axis=0)
    mean = np.where(is_chosen[:, None], total - np.nan_to_num(flux), total) / (chosen.size - is_chosen)[:, None]
    relative = flux / mean
    return np.asarray(relative / row_median(relative)[:, None])


def tianyu(raw: RawFluxes) -> LightCurves:
    """The same raw fluxes through Tianyu's relative calibration: what is left of a difference is photometry."""
    stars, frames, _ = raw.flux.shape
    curves, no_flag, nowhere = [], np.zeros((stars, frames), np.int32), np.full((stars, 2), np.nan)
    for k in range(raw.flux.shape[2]):
        flux, error = raw.flux[:, :, k], raw.error[:, :, k]
        measured = Measured(flux, error, no_flag, np.ones(frames, dtype=bool), nowhere, np.arange(float(frames)))
        curves.append(calibrate_ensemble(measured, ensemble_candidates(measured).mask).flux)
    return LightCurves(raw.tool + SUFFIX, np.stack(curves, axis=2), raw.radii)
