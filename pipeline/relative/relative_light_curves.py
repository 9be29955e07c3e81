"""What relative calibration gives, and the sums that its methods share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.relative.shared_light import SharedLight
from pipeline.statistics import row_median


@dataclass(frozen=True)
class RelativeLightCurves(LightCurves):
    """Light curves relative to reference stars, each 1 at its level (`normalise`); errors hold that of the references.

    Attributes:
        group: int64[n], which reference group served the star.
        is_reference: bool[n].
        weight: float64[n], share of a star in its group's reference mean; 0 for other stars.
        level: float64[n], by which each light curve was divided in the end; NaN where it means nothing.
        mean_level: float64[n], by which a reference is divided before it enters a weighted mean; NaN where none is.
    """

    group: NDArray[np.int64]
    is_reference: NDArray[np.bool_]
    weight: NDArray[np.float64]
    level: NDArray[np.float64]
    mean_level: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        raw: LightCurves,
        relative: tuple[NDArray[np.float64], NDArray[np.float64]],
        group: NDArray[np.int64],
        is_reference: NDArray[np.bool_],
        weight: NDArray[np.float64],
        mean_level: NDArray[np.float64] | None = None,
    ) -> "RelativeLightCurves":
        """From relative fluxes and errors, float64[n, t] each, which are divided by their levels in place."""
        level = normalise(*relative, raw.good, raw.usable)
        if mean_level is None:
            mean_level = np.full(len(raw), np.nan)
        return cls(*relative, raw.flag, raw.good, raw.xy, raw.time, group, is_reference, weight, level, mean_level)


def normalise(
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    good: NDArray[np.bool_],
    usable: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Divide each light curve and its errors, in place, by its median over the usable points of the good epochs.

    A star without a usable point there, such as one that is saturated all night, is divided by the median of all that
    was measured there. A median that is not positive means nothing but noise: such a light curve becomes NaN.

    Args:
        flux, error: float64[n, t], NaN where missing.
        good: bool[t].
        usable: bool[n, t], by `pipeline.flags.usable`.

    Returns:
        float64[n], the medians; NaN for a light curve that became so.
    """
    of_good = flux[:, good]
    level = row_median(np.where(usable[:, good], of_good, np.nan))
    untold = np.isnan(level)
    level[untold] = row_median(of_good[untold])
    level[~(level > 0)] = np.nan
    flux /= level[:, None]
    error /= level[:, None]
    return np.asarray(level)


@dataclass(frozen=True)
class LeftOut:
    """References whose light some stars share: ``who`` int[k], and of each the number of these references, ``count``
    int[k], their summed flux ``total`` and summed squared error ``variance``, float64[k, t].
    """

    who: NDArray[np.intp]
    count: NDArray[np.intp]
    total: NDArray[np.float64]
    variance: NDArray[np.float64]

    @classmethod
    def of(cls, shared: SharedLight, rows: slice, curves: LightCurves) -> "LeftOut | None":
        """Those of the stars of these rows; ``curves``: of all the others that ``shared`` counts."""
        others = shared.of(rows)
        if others is None:
            return None
        return cls(
            others.who,
            others.sums(np.ones(others.other.size, np.intp)).astype(np.intp),
            others.sums(curves.flux[others.other]),
            others.sums(np.square(curves.error[others.other])),
        )


def over_mean(
    curves: LightCurves,
    total: NDArray[np.float64],
    variance: NDArray[np.float64],
    references: NDArray[np.bool_],
    count: int,
    left_out: "LeftOut | None" = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stars over the plain mean of the references, a reference over that of the others, and the errors of that.

    Args:
        curves: of n stars.
        total, variance: float64[t], summed flux and summed squared error of all references.
        references: bool[n], which of these stars are in the sums.
        count: of all references.
        left_out: references besides that some of the stars are not compared with.
    """
    flux, error, own = curves.flux, curves.error, references[:, None]
    others = (count - references)[:, None]
    mean, mean_variance = np.where(own, total - flux, total), np.where(own, variance - np.square(error), variance)
    if left_out is not None:
        others[left_out.who] -= left_out.count[:, None]
        mean[left_out.who] -= left_out.total
        mean_variance[left_out.who] -= left_out.variance
    with np.errstate(divide="ignore", invalid="ignore"):
        mean /= others
        mean_variance = np.maximum(mean_variance, 0.0) / others**2
        relative = flux / mean
        return relative, np.sqrt(np.square(error) + np.square(relative) * mean_variance) / np.abs(mean)
