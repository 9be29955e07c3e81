"""Zero points: Gaia's G, and magnitudes in standard bands, of any star from its flux on any frame."""

from pipeline.zero_points.calibrators import ENOUGH, MAX_CALIBRATORS, calibrators, measured_well
from pipeline.zero_points.colours import gaia_colour_error, with_colours
from pipeline.zero_points.standard_bands import BANDS, RELATIONS, band_of_filter, by_relation, index_by_relation
from pipeline.zero_points.standard_magnitudes import (
    ColourCurve,
    Points,
    Standard,
    StandardFlag,
    Transformation,
    colour_curve,
    points_of,
    two_filter_curve,
    with_catalogue_colour,
)
from pipeline.zero_points.terms import field_terms
from pipeline.zero_points.zero_point_fit import Places, ZeroPoints, fit_zero_points, night_residuals

__all__ = [
    "BANDS",
    "ENOUGH",
    "MAX_CALIBRATORS",
    "RELATIONS",
    "ColourCurve",
    "Places",
    "Points",
    "Standard",
    "StandardFlag",
    "Transformation",
    "ZeroPoints",
    "band_of_filter",
    "by_relation",
    "calibrators",
    "colour_curve",
    "field_terms",
    "fit_zero_points",
    "gaia_colour_error",
    "index_by_relation",
    "measured_well",
    "night_residuals",
    "points_of",
    "two_filter_curve",
    "with_catalogue_colour",
    "with_colours",
]
