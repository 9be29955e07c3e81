"""Errors after what like stars achieve: for nights whose noise is not known because no header tells the gain."""

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.relative.constancy import MIN_STARS, promised
from pipeline.statistics import robust_scatter, row_median

FEWEST_EPOCHS = 8  # good values of a star that tell its scatter


def achieved_factors(curves: LightCurves, brightness: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """By how much each star's errors are to be multiplied, so that stars like it scatter by as much: at least 1.

    What a constant star shows is fitted to all by least absolute deviations: a · quoted variance + b / brightness + c,
    so that a star's own variation has no say in its error. b is the photon noise that errors without a gain lack,
    c what all stars share.

    Args:
        curves: relative.
        brightness: float64[n], in any unit.

    Returns:
        float64[n]; None where fewer than three stars tell something.
    """
    relative = np.where(curves.usable, curves.flux, np.nan)[:, curves.good]
    scatter = robust_scatter(relative)
    quoted = np.square(row_median(curves.error[:, curves.good]))
    count = np.isfinite(relative).sum(axis=1)
    with np.errstate(invalid="ignore"):
        telling = (count >= FEWEST_EPOCHS) & (scatter > 0) & (quoted > 0) & (brightness > 0)
    if telling.sum() < MIN_STARS:
        return None
    told = promised(np.square(scatter[telling]), quoted[telling], brightness[telling])
    factors = np.ones(len(relative))
    factors[telling] = np.sqrt(np.maximum(told / quoted[telling], 1.0))
    # Stars that tell nothing have errors like the others'.
    factors[~telling] = np.median(factors[telling])
    return factors
