"""Catalogues of stars: Gaia DR3's archive through a cache on disk, or a table of one's own."""

from services.sky.catalogue.catalogue_protocol import Catalogue, CatalogueOutage
from services.sky.catalogue.catalogue_stars import CatalogueStars
from services.sky.catalogue.opening import faintest_mag, open_catalogue

__all__ = ["Catalogue", "CatalogueOutage", "CatalogueStars", "faintest_mag", "open_catalogue"]
