"""Gaia DR3's archive: the stars of HEALPix cells, brighter than a limit."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.sky import healpix
from services.sky.catalogue.catalogue_protocol import CatalogueOutage
from services.sky.catalogue.catalogue_stars import CatalogueStars
from services.sky.catalogue.gaia_columns import ALL, TableProblemError, stars_of
from services.sky.catalogue.tap import TapService

TABLE = "gaiadr3.gaia_source"
# A Gaia source id begins with the star's cell of order 12, so that cells are ranges of the archive's primary key.
IDS_PER_CELL = 1 << 35
# Ids go back to places of the year 2000: Barnard's star, the fastest, is 2.6 arcmin from the cell that its id names.
ID_OFFSET_DEG = 0.05
ROWS_MAX = 400_000  # of one answer: 40 MB in binary
# What one query asks for. Over the whole sky a cell of order 6 has 6,000 stars of G < 18, half as many at 17.1.
ROWS_WANTED = 50_000
CELL_STARS_AT_18 = 6000.0
GROWTH_PER_MAG = 0.32  # of the logarithm (base 10) of the number of stars, G 13 to 18
RANGES_MAX = 200  # of ids in one query


class GaiaArchive:
    """The archive behind a TAP service that has Gaia's tables under ESA's names."""

    def __init__(self, service: TapService) -> None:
        self._service = service

    def cells(self, wanted: Sequence[int], order: int, mag_limit: float) -> Iterator[tuple[list[int], CatalogueStars]]:
        """Cells, a few at a time, with all their stars.

        Raises:
            CatalogueOutage: see TapService; or the answer holds other stars than those asked for.
        """
        per_cell = CELL_STARS_AT_18 * 10.0 ** (GROWTH_PER_MAG * (mag_limit - 18.0)) * 4.0 ** (6 - order)
        step = int(np.clip(ROWS_WANTED / per_cell, 1, RANGES_MAX))
        for start in range(0, len(wanted), step):
            few = list(wanted[start : start + step])
            yield few, self._fetch(few, order, mag_limit)

    def cell_of(self, stars: CatalogueStars, order: int) -> NDArray[np.int64]:
        """int64[n]: the cell that each star's id names."""
        return stars.source_id // _ids_per_cell(order)

    def _fetch(self, few: list[int], order: int, mag_limit: float) -> CatalogueStars:
        """The stars of some cells; where the server cuts the answer short, in halves, and one cell in quarters."""
        answer = self._service.query(_query(few, order, mag_limit), ROWS_MAX)
        if not answer.is_cut and answer.rows < ROWS_MAX:
            stars = self._stars(answer.columns)
            self._check(stars, np.array(few), order, mag_limit)
            return stars
        if len(few) > 1:
            parts = [(few[: len(few) // 2], order), (few[len(few) // 2 :], order)]
        elif order < healpix.ORDER:
            parts = [([4 * few[0] + quarter], order + 1) for quarter in range(4)]
        else:
            raise CatalogueOutage(
                f"{self._service.url} cuts its answers off after {answer.rows} rows, which is fewer than the stars of "
                f"one cell of order {order}: is it a mirror of the whole archive?"
            )
        return CatalogueStars.joined([self._fetch(cells, deeper, mag_limit) for cells, deeper in parts])

    def _stars(self, columns: object) -> CatalogueStars:
        try:
            return stars_of(columns, ALL)  # type: ignore[arg-type]
        except TableProblemError as error:
            raise CatalogueOutage(f"{self._service.url} sent another table than was asked for: {error}") from error

    def _check(self, stars: CatalogueStars, few: NDArray[np.int64], order: int, mag_limit: float) -> None:
        """Refuse stars that nobody asked for: a server with another table would fill the cache with them."""
        own = self.cell_of(stars, order)
        problems: list[tuple[NDArray[np.bool_], Callable[[int], str]]] = [
            (~np.isin(own, few), lambda row: f"whose id belongs to cell {own[row]}"),
            (~(stars.g_mag < mag_limit), lambda row: f"of G = {stars.g_mag[row]}"),
            (_is_outside(stars, own, order), lambda row: f"at ({stars.ra_deg[row]:.4f}, {stars.dec_deg[row]:.4f}) deg"),
        ]
        for wrong, what in problems:
            if wrong.any():
                row = int(np.argmax(wrong))
                raise CatalogueOutage(
                    f"{self._service.url} sent star {stars.source_id[row]} {what(row)}: asked were G < {mag_limit:g} "
                    f"and cells {few[:5].tolist()}{'…' if few.size > 5 else ''} of order {order}; is it Gaia DR3?"
                )


def _is_outside(stars: CatalogueStars, own: NDArray[np.int64], order: int) -> NDArray[np.bool_]:
    """Whether stars lie beyond the circle around the cell that their ids name."""
    if not len(stars):
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(healpix.separations_from_cells(stars.radec, own, order) > reach_of_cell_deg(order))


def reach_of_cell_deg(order: int) -> float:
    """Degrees from a cell's centre within which all stars are whose ids name it."""
    return healpix.CELL_RADIUS_DEG / float(2**order) + ID_OFFSET_DEG


def _query(few: Sequence[int], order: int, mag_limit: float) -> str:
    size = _ids_per_cell(order)
    cells = np.unique(few)
    starts = cells[np.r_[True, np.diff(cells) > 1]].tolist()
    ends = cells[np.r_[np.diff(cells) > 1, True]].tolist()
    ranges = [
        f"source_id BETWEEN {first * size} AND {(last + 1) * size - 1}"
        for first, last in zip(starts, ends, strict=True)
    ]
    return (
        f"SELECT {', '.join(ALL)} FROM {TABLE} "  # noqa: S608 - whole numbers and a float of our own
        f"WHERE phot_g_mean_mag < {mag_limit:.4f} AND ({' OR '.join(ranges)})"
    )


def _ids_per_cell(order: int) -> int:
    return int(IDS_PER_CELL * 4 ** (healpix.ORDER - order))
