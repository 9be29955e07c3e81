"""Astrometry: where an image is on the sky, from patterns of stars, and the WCS that says so."""

from pipeline.sky.astrometry.patterns import SkyHint, match_catalogue
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.sphere import nearest_on_sky, separation_arcsec, unit_vectors
from pipeline.sky.astrometry.wcs_fit import WcsFit, refine

__all__ = [
    "SkyHint",
    "SkyWcs",
    "WcsFit",
    "match_catalogue",
    "nearest_on_sky",
    "refine",
    "separation_arcsec",
    "unit_vectors",
]
