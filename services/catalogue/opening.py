"""The catalogue that the settings name."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from services.catalogue.cells import ORDER, CellStore
from services.catalogue.files import FileCatalogue
from services.catalogue.protocol import Catalogue
from services.settings import Settings

if TYPE_CHECKING:
    from services.catalogue.cached import CachedCatalogue

FOLDER = "catalog"  # under the site's root
RELEASE = "gaia-dr3"


def open_catalogue(settings: Settings, patience_s: float | None = None) -> Catalogue | None:
    """The operator's file, else Gaia through the cache; None where the settings want no catalogue.

    patience_s: seconds from now after which the archive is no longer waited for.
    """
    if settings.catalog_file is not None:
        return FileCatalogue(settings.catalog_file)
    return open_gaia(settings, patience_s) if settings.catalog == "gaia" else None


def faintest_mag(settings: Settings) -> float:
    """G of the faintest stars that are wanted: a file's own end, for the limit spares the archive."""
    return math.inf if settings.catalog_file is not None else settings.catalog_mag_limit


def open_gaia(settings: Settings, patience_s: float | None = None) -> "CachedCatalogue":
    """Gaia's archive behind the cache."""
    # What speaks HTTP takes 50 ms to import, and every worker imports the steps.
    from services.catalogue.cached import CachedCatalogue
    from services.catalogue.gaia import GaiaArchive
    from services.catalogue.tap import Patience, TapService

    patience = None if patience_s is None else Patience(patience_s)
    service = TapService(settings.catalog_url, settings.catalog_timeout_s, patience=patience)
    return CachedCatalogue(GaiaArchive(service), open_cells(settings))


def open_cells(settings: Settings) -> CellStore:
    """The cache alone."""
    return CellStore(catalogue_folder(settings), ORDER)


def catalogue_folder(settings: Settings) -> Path:
    """Where the cache lies."""
    return (settings.root / FOLDER if settings.catalog_dir is None else settings.catalog_dir) / RELEASE
