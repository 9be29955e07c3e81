"""What every catalogue of stars can do, and how it fails."""

from typing import Protocol

from services.errors import TransientError
from services.sky.catalogue.catalogue_stars import CatalogueStars


class CatalogueOutage(TransientError):  # noqa: N818 - an outage is the error's name
    """The catalogue's server did not answer, or not with the stars that were asked for."""


class Catalogue(Protocol):
    """Stars around a place."""

    def cone(self, ra_deg: float, dec_deg: float, radius_deg: float, mag_limit: float) -> CatalogueStars:
        """Stars within the radius (at the catalogue's own epoch) that are brighter than ``mag_limit`` in G.

        Raises:
            CatalogueOutage: the server is away, or its answer is not what was asked for.
            ConfigurationError: the catalogue's file or address cannot be used.
        """
