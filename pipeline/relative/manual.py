"""Differential photometry with stars that somebody chose: targets and check stars over the sum of the references."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.relative.light_curves import (
    LeftOut,
    RelativeLightCurves,
    blocks,
    check_light_curves,
    normalise,
    over_mean,
)
from pipeline.relative.shared_light import SharedLight


def calibrate_manual(
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    references: NDArray[np.bool_],
    good_epochs: NDArray[np.bool_],
    shared: SharedLight | None = None,
    usable: NDArray[np.bool_] | None = None,
) -> RelativeLightCurves:
    """Divide every star by the sum of the references, a reference by that of the others.

    References whose light a star shares are left out too, where there are others.

    All references count alike, flux by flux (as in AstroImageJ, Collins et al. 2017), so that an epoch in which one of
    them is missing has no relative flux. Since each light curve is divided by its level, sum and mean are the same.

    Args:
        flux: float64[n, t], raw, in any unit, NaN where missing.
        error: float64[n, t], one standard deviation.
        references: bool[n].
        good_epochs: bool[t]; levels come from these, light curves are made for all.
        shared: stars that share light; without it none do.
        usable: bool[n, t], points that tell a star's level, by `pipeline.flags.usable`; without it all do.

    Returns:
        RelativeLightCurves, all in group 0. A lone reference has no light curve (NaN), for there is no other.

    Raises:
        UnusableDataError: shapes that do not fit, no good epoch, no reference, or no good epoch with all of them.
    """
    check_light_curves(flux, good_epochs, error, *(() if usable is None else (usable,)))
    count = int(references.sum())
    if count == 0:
        raise UnusableDataError(f"no reference star among {len(flux)} stars: name at least one")
    together = np.isfinite(flux[references]).all(axis=0)
    if not (together & good_epochs).any():
        seen = (np.isfinite(flux[references]) & good_epochs).sum(axis=1)
        raise UnusableDataError(
            f"the {count} reference stars are nowhere measured together: they have {seen.tolist()} of "
            f"{int(good_epochs.sum())} good epochs; choose stars that are on all frames"
        )
    relative, relative_error = np.empty_like(flux), np.empty_like(flux)
    total = flux[references].sum(axis=0), np.square(error[references]).sum(axis=0)
    shared = (shared or SharedLight.none()).with_references(references, references)
    for rows in blocks(*flux.shape):
        left_out = LeftOut.of(shared, rows, flux, error)
        relative[rows], relative_error[rows] = over_mean(
            flux[rows], error[rows], *total, references[rows], count, left_out
        )
    normalise(relative, relative_error, good_epochs, usable)
    return RelativeLightCurves(
        flux=relative,
        error=relative_error,
        group=np.zeros(len(flux), dtype=np.int64),
        is_reference=references.copy(),
        weight=references / count,
    )
