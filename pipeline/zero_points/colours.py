"""Gaia's colours: how well they are known, and what stands for one that is not."""

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics import robust_scatter

# Error of BP - RP by G: Gaia DR3's typical uncertainties of BP and RP (Riello et al. 2021, A&A 649, A3), added.
COLOUR_ERROR_G = (13.0, 17.0, 20.0)  # mag
COLOUR_ERROR = (0.0011, 0.0134, 0.120)  # mag
TYPICAL_COLOUR, TYPICAL_SPREAD = 0.9, 0.4  # BP - RP of stars of 12 to 17 mag, where a field tells nothing
FEWEST_COLOURS = 3  # that a field's median and spread are told from

Floats = NDArray[np.float64]


def gaia_colour_error(g_mag: Floats) -> Floats:
    """Typical error of BP - RP of stars of this G: float64 of the same shape, mag; NaN stays."""
    return np.asarray(10.0 ** np.interp(g_mag, COLOUR_ERROR_G, np.log10(COLOUR_ERROR)))


def with_colours(colour: Floats, g_mag: Floats) -> tuple[Floats, Floats]:
    """Colours of all stars and their errors: float64[n] each, mag, none NaN.

    A star without a colour gets the median of the field's, in error by their spread.

    Args:
        colour: float64[n], BP - RP, NaN where unknown.
        g_mag: float64[n], NaN where unknown.
    """
    known = np.isfinite(colour)
    median, spread = TYPICAL_COLOUR, TYPICAL_SPREAD
    if np.count_nonzero(known) >= FEWEST_COLOURS:
        median, spread = float(np.median(colour[known])), float(robust_scatter(colour[None, known])[0])
    error = np.where(known & np.isfinite(g_mag), gaia_colour_error(g_mag), spread)
    return np.where(known, colour, median), error
