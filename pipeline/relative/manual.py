"""Differential photometry with stars that somebody chose: targets and check stars over the sum of the references."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.light_curves import LightCurves
from pipeline.relative.relative_light_curves import LeftOut, RelativeLightCurves, over_mean
from pipeline.relative.shared_light import SharedLight


def calibrate_manual(
    curves: LightCurves, references: NDArray[np.bool_], shared: SharedLight | None = None
) -> RelativeLightCurves:
    """Divide every star by the sum of the references, a reference by that of the others.

    References whose light a star shares are left out too, where there are others.

    All references count alike, flux by flux (as in AstroImageJ, Collins et al. 2017), so that an epoch in which one of
    them is missing has no relative flux. Since each light curve is divided by its level, sum and mean are the same.

    Args:
        curves: raw.
        references: bool[n].
        shared: stars that share light; without it none do.

    Returns:
        RelativeLightCurves, all in group 0. A lone reference has no light curve (NaN), for there is no other.

    Raises:
        UnusableDataError: no reference, or no good epoch with all of them.
    """
    flux, error = curves.flux, curves.error
    count = int(references.sum())
    if count == 0:
        raise UnusableDataError(f"no reference star among {len(flux)} stars: name at least one")
    together = np.isfinite(flux[references]).all(axis=0)
    if not (together & curves.good).any():
        seen = (np.isfinite(flux[references]) & curves.good).sum(axis=1)
        raise UnusableDataError(
            f"the {count} reference stars are nowhere measured together: they have {seen.tolist()} of "
            f"{int(curves.good.sum())} good epochs; choose stars that are on all frames"
        )
    relative = np.empty_like(flux), np.empty_like(flux)
    total = flux[references].sum(axis=0), np.square(error[references]).sum(axis=0)
    shared = (shared or SharedLight.none()).with_references(references, references)
    for rows, part in curves.blocks():
        left_out = LeftOut.of(shared, rows, curves)
        relative[0][rows], relative[1][rows] = over_mean(part, *total, references[rows], count, left_out)
    group = np.zeros(len(flux), dtype=np.int64)
    return RelativeLightCurves.of(curves, relative, group, references.copy(), references / count)
