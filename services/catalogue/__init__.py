"""Catalogues of stars: Gaia DR3's archive through a cache on disk, or a table of one's own; and names of objects."""

from services.catalogue.opening import faintest_mag, open_catalogue
from services.catalogue.protocol import Catalogue, CatalogueOutage
from services.catalogue.stars import CatalogueStars

__all__ = ["Catalogue", "CatalogueOutage", "CatalogueStars", "faintest_mag", "open_catalogue"]
