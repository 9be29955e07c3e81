"""By what light at any place of the field is divided on each frame: the light of a calibration's reference stars."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.relative.later_frames import Fixed, calibrate_later
from pipeline.relative.shared_light import SharedLight
from pipeline.statistics import row_median

FAINTEST_SHARE = 0.1  # of the stars: light that nobody found has their error factor

Floats = NDArray[np.float64]


def frame_terms(stars: LightCurves, fixed: Fixed, xy: Floats, reach: float) -> tuple[Floats, Floats]:
    """What a star at each place would be divided by: its light if it were constant, of median 1 over the good frames.

    A star of flux 1 without noise is calibrated at each place as a frame that came later would be: so references that
    share light with the place are left out, and values that stand out. Of a method with groups the largest one counts.

    Args:
        stars: raw, of the calibration's references at least; n of them on t frames.
        fixed: what the calibration found, of the same stars.
        xy: float64[p, 2], places on the template, px.
        reach: px within which two stars share light.

    Returns:
        Terms and their relative errors, float64[p, t] each; NaN on frames without a reference.
    """
    places, frames = len(xy), stars.time.size
    together = replace(
        stars,
        flux=np.vstack([stars.flux, np.ones((places, frames))]),
        error=np.vstack([stars.error, np.zeros((places, frames))]),
        flag=np.vstack([stars.flag, np.zeros((places, frames), dtype=np.int32)]),
        xy=np.vstack([stars.xy, xy]),
    )
    group = int(np.bincount(fixed.group[fixed.is_reference]).argmax()) if fixed.is_reference.any() else 0

    none, one = np.full(places, np.nan), np.ones(places)
    told = Fixed(
        group=np.concatenate([fixed.group, np.full(places, group)]),
        is_reference=np.concatenate([fixed.is_reference, np.zeros(places, dtype=np.bool_)]),
        weight=np.concatenate([fixed.weight, np.zeros(places)]),
        level=np.concatenate([fixed.level, one]),
        mean_level=np.concatenate([fixed.mean_level, none]),
        scatter=np.concatenate([fixed.scatter, none]),
        error_factor=np.concatenate([fixed.error_factor, one]),
        by_weights=fixed.by_weights,
    )
    found = calibrate_later(together, told, SharedLight.within(together.xy, reach))
    relative, error = found.flux[len(stars) :], found.error[len(stars) :]
    with np.errstate(invalid="ignore", divide="ignore"):
        term = 1.0 / relative
        return term / row_median(term[:, stars.good])[:, None], error / relative


def faint_error_factor(fixed: Fixed, brightness: Floats) -> float:
    """The factor of the errors of the faintest stars; 1 where none is known.

    Args:
        fixed: what the calibration found.
        brightness: float64[n], of the same stars.
    """
    known = np.flatnonzero(np.isfinite(brightness) & np.isfinite(fixed.error_factor))
    if not known.size:
        return 1.0
    faintest = known[np.argsort(brightness[known], kind="stable")[: max(1, round(FAINTEST_SHARE * known.size))]]
    return float(np.median(fixed.error_factor[faintest]))
