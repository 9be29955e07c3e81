"""The catalogue that an operator chose."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from services.choices import Choices
from services.deployment import Deployment
from services.sky.catalogue.catalogue_protocol import Catalogue
from services.sky.catalogue.cells import ORDER, CellStore
from services.sky.catalogue.own_table import FileCatalogue

if TYPE_CHECKING:
    from services.sky.catalogue.cached import CachedCatalogue

FOLDER = "catalog"  # under the site's root
RELEASE = "gaia-dr3"


def open_catalogue(deployment: Deployment, choices: Choices, patience_s: float | None = None) -> Catalogue | None:
    """The operator's file, else Gaia through the cache; None where no catalogue is wanted.

    patience_s: seconds from now after which the archive is no longer waited for.
    """
    if choices.catalog_file is not None:
        return FileCatalogue(choices.catalog_file)
    return open_gaia(deployment, patience_s) if choices.catalog == "gaia" else None


def faintest_mag(choices: Choices) -> float:
    """G of the faintest stars that are wanted: a file's own end, for the limit spares the archive."""
    return math.inf if choices.catalog_file is not None else choices.catalog_mag_limit


def open_gaia(deployment: Deployment, patience_s: float | None = None) -> "CachedCatalogue":
    """Gaia's archive behind the cache."""
    # What speaks HTTP takes 50 ms to import, and every worker imports the steps.
    from services.sky.catalogue.cached import CachedCatalogue
    from services.sky.catalogue.gaia_archive import GaiaArchive
    from services.sky.catalogue.tap import Patience, TapService

    patience = None if patience_s is None else Patience(patience_s)
    service = TapService(deployment.catalog_url, deployment.catalog_timeout_s, patience=patience)
    return CachedCatalogue(GaiaArchive(service), open_cells(deployment))


def open_cells(deployment: Deployment) -> CellStore:
    """The cache alone."""
    return CellStore(catalogue_folder(deployment), ORDER)


def catalogue_folder(deployment: Deployment) -> Path:
    """Where the cache lies."""
    return (deployment.root / FOLDER if deployment.catalog_dir is None else deployment.catalog_dir) / RELEASE
