"""Cells of equal area on the sphere (HEALPix, Górski et al. 2005, ApJ 622, 759), in the nested scheme of Gaia."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UnusableDataError
from pipeline.sky.astrometry.sphere import unit_vectors

ORDER = 12  # of table source: cells of 52 arcsec; a Gaia source_id divided by 2^35 is the same number
# The farthest corner of any cell of any order from its centre is 61.2 degrees over 2^order; of order 0, 48.
CELL_RADIUS_DEG = 62.0
EDGE_STEPS = 16  # points on each edge of a cell
CELL_WIDTH_DEG = 58.6  # root of the area, of order 0
CELLS_A_RADIUS = 4.0  # of a cone that is given by ranges: 60 to 100 coarse cells, which join to some 30 ranges

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def cells(radec: ArrayLike, order: int = ORDER) -> Ints:
    """Numbers of the cells that hold places; right ascensions may be of any turn.

    Args:
        radec: float64[n, 2], degrees.
        order: 0 to 29; the sphere has 12 · 4^order cells.

    Returns:
        int64[n].

    Raises:
        UnusableDataError: a place is not finite or beyond a pole; HEALPix would name some cell all the same.
    """
    from astropy_healpix.healpy import ang2pix  # 0.4 s, and only solved fields need it

    places = np.asarray(radec, dtype=np.float64).reshape(-1, 2)
    bad = ~np.isfinite(places).all(axis=1) | (np.abs(places[:, 1]) > 90.0)
    if bad.any():
        raise UnusableDataError(
            f"{int(bad.sum())} of {len(places)} places are nowhere on the sky, the first at {places[bad][0].tolist()}: "
            "expected finite degrees and declinations of at most 90"
        )
    found = ang2pix(2**order, places[:, 0] % 360.0, places[:, 1], nest=True, lonlat=True)
    return np.asarray(found, dtype=np.int64)


def cells_of_cone(ra_deg: float, dec_deg: float, radius_deg: float, order: int = ORDER) -> Ints:
    """All cells that a cone touches, and perhaps a few within a sixteenth of a cell of it.

    They are found from the coarse cells to the fine. astropy_healpix has a search of its own, which missed a cell in
    one of 360 random cones.

    Args:
        ra_deg: of the cone's axis.
        dec_deg: of the cone's axis.
        radius_deg: of the cone; 180 is the whole sphere.
        order: of the cells.

    Returns:
        int64[m], in increasing order.

    Raises:
        UnusableDataError: the axis points nowhere on the sky.
    """
    from astropy_healpix.healpy import boundaries, pix2vec

    own = cells([[ra_deg, dec_deg]], order)
    axis = unit_vectors(np.array([[ra_deg, dec_deg]]))
    found = np.arange(12)
    for level in range(order + 1):
        if level:
            found = (4 * found[:, None] + np.arange(4)).ravel()
        centres = np.column_stack(pix2vec(2**level, found, nest=True))
        found = found[_separations(centres, axis) <= radius_deg + CELL_RADIUS_DEG / 2**level]
    edges = boundaries(2**order, found, step=EDGE_STEPS, nest=True).reshape(found.size, 3, -1)
    reach = radius_deg + CELL_RADIUS_DEG / 2**order / EDGE_STEPS
    touched = (_separations(np.moveaxis(edges, 1, 2), axis) <= reach).any(axis=1)
    # A cone within one cell may touch no edge.
    return np.union1d(found[touched], own).astype(np.int64)


def ranges_of_cone(ra_deg: float, dec_deg: float, radius_deg: float, order: int = ORDER) -> Ints:
    """First and last numbers int64[k, 2] of ranges that hold all cells a cone touches, and a margin of its radius / 4.

    A field's cells are too many to be named each, and few ranges: nested numbers of neighbours follow each other.

    Raises:
        UnusableDataError: the axis points nowhere on the sky.
    """
    wanted = np.log2(CELLS_A_RADIUS * CELL_WIDTH_DEG / max(radius_deg, CELL_WIDTH_DEG / 2**order))
    level = int(np.clip(np.ceil(wanted), 0, order))
    coarse = cells_of_cone(ra_deg, dec_deg, radius_deg, level)
    starts = np.flatnonzero(np.diff(coarse, prepend=-2) > 1)
    ends = np.append(starts[1:], coarse.size) - 1
    size = 4 ** (order - level)
    return np.column_stack([coarse[starts] * size, (coarse[ends] + 1) * size - 1])


def separations_from_cells(radec: Floats, of_cells: Ints, order: int) -> Floats:
    """Degrees float64[n] between places float64[n, 2] and the centres of one cell int64[n] each."""
    from astropy_healpix.healpy import pix2vec

    return _separations(unit_vectors(radec), np.column_stack(pix2vec(2**order, of_cells, nest=True)))


def _separations(vectors: Floats, others: Floats) -> Floats:
    """Degrees between unit vectors ``[..., 3]``."""
    chord = np.sqrt(np.square(vectors - others).sum(axis=-1))
    return np.asarray(np.degrees(2.0 * np.arcsin(np.clip(0.5 * chord, 0.0, 1.0))))
