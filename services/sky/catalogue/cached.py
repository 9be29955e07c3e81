"""A catalogue that is asked once for each part of the sky: cones from cells on disk, missing cells from the archive."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.sky import healpix
from services.errors import TransientError
from services.log import get_logger
from services.sky.catalogue.catalogue_stars import CatalogueStars
from services.sky.catalogue.cells import ORDER, CellStore
from services.sky.catalogue.gaia_archive import ID_OFFSET_DEG, GaiaArchive

log = get_logger("catalogue")
# Cells are fetched to the next half magnitude: the depths of two nights are never quite alike.
DEPTHS_PER_MAG = 2

Progress = Callable[[int, int], None]  # cells done, cells in all


@dataclass(frozen=True)
class Fetched:
    """What a fetch came to: cells that the cone touches, those that were not there, and all their stars."""

    cells: int
    fetched: int
    stars: int


class CachedCatalogue:
    """Cells on disk before the archive. With all cells of a cone on disk nobody is asked."""

    def __init__(self, source: GaiaArchive, store: CellStore) -> None:
        self._source = source
        self._store = store

    def cone(self, ra_deg: float, dec_deg: float, radius_deg: float, mag_limit: float) -> CatalogueStars:
        """Stars of a cone; those that the disk does not take are asked for again next time.

        Raises:
            CatalogueOutage: a cell is missing and the source is away.
        """
        parts = [stars for _, stars in self._parts(ra_deg, dec_deg, radius_deg, mag_limit, must_keep=False)]
        inside = [part.within(ra_deg, dec_deg, radius_deg, mag_limit) for part in parts]
        return CatalogueStars.joined(inside)

    def fetch(self, ra_deg: float, dec_deg: float, radius_deg: float, mag_limit: float, progress: Progress) -> Fetched:
        """Bring the cells of a cone to disk.

        Raises:
            CatalogueOutage: the source is away; what came before it went stays.
            TransientError: the disk failed.
        """
        total = healpix.cells_of_cone(ra_deg, dec_deg, radius_deg + ID_OFFSET_DEG, ORDER).size
        done = fetched = count = 0
        for is_new, stars in self._parts(ra_deg, dec_deg, radius_deg, mag_limit, must_keep=True):
            done, fetched, count = done + 1, fetched + is_new, count + len(stars)
            progress(done, total)
        return Fetched(total, fetched, count)

    def _parts(
        self, ra_deg: float, dec_deg: float, radius_deg: float, mag_limit: float, *, must_keep: bool
    ) -> Iterator[tuple[bool, CatalogueStars]]:
        """The cells of a cone one by one, and whether each was fetched just now."""
        wanted: list[int] = healpix.cells_of_cone(ra_deg, dec_deg, radius_deg + ID_OFFSET_DEG, ORDER).tolist()
        missing = []
        for cell in wanted:
            stars = self._store.read(cell, mag_limit)
            if stars is None:
                missing.append(cell)
            else:
                yield False, stars
        depth = math.ceil(mag_limit * DEPTHS_PER_MAG) / DEPTHS_PER_MAG
        if missing:
            log.info("the catalogue is asked for stars", cells=len(missing), order=ORDER, mag_limit=depth)
        for few, found in self._source.cells(missing, ORDER, depth):
            own = self._source.cell_of(found, ORDER)
            for cell in few:
                stars = found.take(own == cell)
                try:
                    self._store.write(cell, stars, depth)
                except TransientError as error:
                    if must_keep:
                        raise
                    log.warning("stars of the catalogue are not kept", reason=str(error))
                yield True, stars
