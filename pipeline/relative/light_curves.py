"""What relative calibration gives, and the checks that its methods share."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.relative.shared_light import SharedLight
from pipeline.statistics import BLOCK_VALUES, row_median


@dataclass(frozen=True)
class RelativeLightCurves:
    """Light curves relative to reference stars, each divided by its level (`normalise`).

    Attributes:
        flux: float64[n_sources, n_epochs], 1 at the median of the points that tell it; NaN where it cannot be had.
        error: float64[n_sources, n_epochs], one standard deviation, that of the reference mean included.
        group: int64[n_sources], which reference group served the source.
        is_reference: bool[n_sources].
        weight: float64[n_sources], share of a source in its group's reference mean; 0 for other sources.
    """

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    group: NDArray[np.int64]
    is_reference: NDArray[np.bool_]
    weight: NDArray[np.float64]


def check_light_curves(
    flux: NDArray[np.float64], good_epochs: NDArray[np.bool_], *like_flux: NDArray[np.generic]
) -> None:
    """Refuse arrays whose shapes do not fit, and a night without a good epoch.

    Raises:
        UnusableDataError: with the shapes found and expected.
    """
    if flux.ndim != 2 or good_epochs.shape != flux.shape[1:] or any(other.shape != flux.shape for other in like_flux):
        shapes = [other.shape for other in like_flux]
        raise UnusableDataError(
            f"fluxes {flux.shape}, epochs {good_epochs.shape}, errors and flags {shapes}: "
            "expected (n, t), (t,) and (n, t)"
        )
    if not good_epochs.any():
        raise UnusableDataError(
            f"none of {good_epochs.size} epochs is good: expected at least one; look at why frames were rejected"
        )


def normalise(
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    good_epochs: NDArray[np.bool_],
    usable: NDArray[np.bool_] | None = None,
) -> None:
    """Divide each light curve and its errors, in place, by its median over the usable points of the good epochs.

    A star without a usable point there, such as one that is saturated all night, is divided by the median of all that
    was measured there. A median that is not positive means nothing but noise: such a light curve becomes NaN.

    Args:
        flux, error: float64[n, t], NaN where missing.
        good_epochs: bool[t].
        usable: bool[n, t], by `pipeline.flags.usable`; without it all points are.
    """
    of_good = flux[:, good_epochs]
    level = row_median(of_good if usable is None else np.where(usable[:, good_epochs], of_good, np.nan))
    untold = np.isnan(level)
    level[untold] = row_median(of_good[untold])
    level[~(level > 0)] = np.nan
    flux /= level[:, None]
    error /= level[:, None]


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
    def of(
        cls, shared: SharedLight, rows: slice, flux: NDArray[np.float64], error: NDArray[np.float64]
    ) -> "LeftOut | None":
        """Those of the stars of these rows; flux, error: float64[n, t] of all the others that ``shared`` counts."""
        others = shared.of(rows)
        if others is None:
            return None
        return cls(
            others.who,
            others.sums(np.ones(others.other.size, np.intp)).astype(np.intp),
            others.sums(flux[others.other]),
            others.sums(np.square(error[others.other])),
        )


def over_mean(
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    total: NDArray[np.float64],
    variance: NDArray[np.float64],
    references: NDArray[np.bool_],
    count: int,
    left_out: "LeftOut | None" = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stars over the plain mean of the references, a reference over that of the others, and the errors of that.

    Args:
        flux, error: float64[n, t].
        total, variance: float64[t], summed flux and summed squared error of all references.
        references: bool[n], which of these stars are in the sums.
        count: of all references.
        left_out: references besides that some of the stars are not compared with.
    """
    own = references[:, None]
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


def blocks(stars: int, epochs: int) -> Iterator[slice]:
    """Rows of light curves to be worked on at a time, so that what is made in between stays small."""
    step = max(1, BLOCK_VALUES // max(1, epochs))
    for start in range(0, stars, step):
        yield slice(start, min(start + step, stars))
