"""Zero points: Gaia's G of any star from its flux on any frame, as exact as the stars of the field allow."""

from pipeline.zero_points.calibrators import ENOUGH, MAX_CALIBRATORS, calibrators, measured_well
from pipeline.zero_points.colours import gaia_colour_error, with_colours
from pipeline.zero_points.zero_point_fit import Places, ZeroPoints, fit_zero_points, night_residuals

__all__ = [
    "ENOUGH",
    "MAX_CALIBRATORS",
    "Places",
    "ZeroPoints",
    "calibrators",
    "fit_zero_points",
    "gaia_colour_error",
    "measured_well",
    "night_residuals",
    "with_colours",
]
