"""Astrometry: where an image is on the sky, from patterns of stars, and the WCS that says so."""

from pipeline.astrometry.fit import WcsFit, refine
from pipeline.astrometry.patterns import SkyHint, match_catalogue
from pipeline.astrometry.sky_wcs import SkyWcs
from pipeline.astrometry.sphere import nearest_on_sky, separation_arcsec, unit_vectors

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
