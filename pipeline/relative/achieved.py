"""Errors after what like stars achieve: for nights whose noise is not known because no header tells the gain."""

import numpy as np
from numpy.typing import NDArray

from pipeline.relative.constancy import MIN_STARS, promised
from pipeline.statistics import robust_scatter, row_median

FEWEST_EPOCHS = 8  # good values of a star that tell its scatter


def achieved_factors(
    relative: NDArray[np.float64],
    error: NDArray[np.float64],
    brightness: NDArray[np.float64],
    good_epochs: NDArray[np.bool_],
) -> NDArray[np.float64] | None:
    """By how much each star's errors are to be multiplied, so that stars like it scatter by as much: at least 1.

    What a constant star shows is fitted to all by least absolute deviations: a · quoted variance + b / brightness + c,
    so that a star's own variation has no say in its error. b is the photon noise that errors without a gain lack,
    c what all stars share.

    Args:
        relative: float64[n, t], about 1, NaN where missing.
        error: float64[n, t].
        brightness: float64[n], in any unit.
        good_epochs: bool[t].

    Returns:
        float64[n]; None where fewer than three stars tell something.
    """
    scatter = robust_scatter(relative[:, good_epochs])
    quoted = np.square(row_median(error[:, good_epochs]))
    count = np.isfinite(relative[:, good_epochs]).sum(axis=1)
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
