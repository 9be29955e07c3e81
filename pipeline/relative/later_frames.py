"""Frames that came after a calibration: divided by its reference stars, with the weights and levels that it found."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.relative.ensemble import continue_ensemble
from pipeline.relative.grouped import over_groups
from pipeline.relative.relative_light_curves import RelativeLightCurves
from pipeline.relative.shared_light import SharedLight
from pipeline.statistics import robust_scatter

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fixed:
    """What a calibration found, and what holds for frames that it did not see.

    Attributes:
        group, is_reference, weight, level, mean_level: those of `RelativeLightCurves`, [n] each.
        scatter: float64[n], of each relative light curve, by which single values stand out; NaN where unknown.
        error_factor: float64[n], by which errors of the noise model are multiplied.
        by_weights: whether all stars are compared with one weighted mean, else with the plain mean of their groups.
    """

    group: NDArray[np.int64]
    is_reference: NDArray[np.bool_]
    weight: Floats
    level: Floats
    mean_level: Floats
    scatter: Floats
    error_factor: Floats
    by_weights: bool

    @classmethod
    def of(cls, curves: RelativeLightCurves, error_factor: Floats, *, by_weights: bool) -> "Fixed":
        """What these light curves were found with."""
        scatter = robust_scatter(np.where(curves.usable, curves.flux, np.nan)[:, curves.good])
        found = curves.group, curves.is_reference, curves.weight, curves.level, curves.mean_level
        return cls(*found, scatter, error_factor, by_weights)

    def stars(self, rows: NDArray[np.intp]) -> "Fixed":
        """What was found of some of the stars."""
        arrays = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "by_weights"}
        return replace(self, **arrays)


def calibrate_later(curves: LightCurves, fixed: Fixed, shared: SharedLight) -> LightCurves:
    """Relative light curves of frames that a calibration did not see, as it would have found them.

    Values of references that are missing, spoiled (a saturated star) or stand out by 5 sigma are left out of the mean
    as the calibration itself leaves them out; in plain means a missing reference costs the epoch in its group.

    Args:
        curves: raw, of the stars of the calibration on these frames.
        fixed: what the calibration found.
        shared: stars that share light.

    Returns:
        LightCurves that are 1 at the level of the calibration's frames; NaN where it has no level of a star.
    """
    if fixed.by_weights:
        flux, error = continue_ensemble(curves, fixed.weight, fixed.mean_level, fixed.scatter, shared)
    else:
        flux, error = over_groups(curves, fixed.group, fixed.is_reference, shared)
    level = fixed.level[:, None]
    return replace(curves, flux=flux / level, error=error / level * fixed.error_factor[:, None])
