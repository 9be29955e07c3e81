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
FEW_RANGES = 4  # of each of many cones
RADII_A_CELL = 2.0  # of a cone that is given by few ranges: it touches four cells, more or less
CELLS_AT_A_TIME = 10_000  # whose edges are in memory: 15 MB

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
    return cells_of_cones([[ra_deg, dec_deg]], radius_deg, order)[1]


def cells_of_cones(radec: ArrayLike, radius_deg: ArrayLike, order: int = ORDER) -> tuple[Ints, Ints]:
    """All cells that each of some cones touches, and perhaps a few within a sixteenth of a cell of it.

    They are found from the coarse cells to the fine. astropy_healpix has a search of its own, which missed a cell in
    one of 360 random cones.

    Args:
        radec: float64[n, 2], of the axes, degrees.
        radius_deg: float64[n], or one of all; 180 is the whole sphere.
        order: of the cells.

    Returns:
        int64[m] and int64[m]: numbers of the cones, from 0, and of their cells, in increasing order.

    Raises:
        UnusableDataError: an axis points nowhere on the sky.
    """
    from astropy_healpix.healpy import boundaries, pix2vec

    own = cells(radec, order)
    axes = unit_vectors(np.asarray(radec, dtype=np.float64).reshape(-1, 2))
    radius = np.broadcast_to(np.asarray(radius_deg, dtype=np.float64), own.shape)
    cone, found = np.repeat(np.arange(own.size), 12), np.tile(np.arange(12), own.size)
    for level in range(order + 1):
        if level:
            cone, found = np.repeat(cone, 4), (4 * found[:, None] + np.arange(4)).ravel()
        centres = np.column_stack(pix2vec(2**level, found, nest=True))
        kept = _separations(centres, axes[cone]) <= radius[cone] + CELL_RADIUS_DEG / 2**level
        cone, found = cone[kept], found[kept]
    touched = np.zeros(found.size, dtype=bool)
    for start in range(0, found.size, CELLS_AT_A_TIME):
        part = slice(start, start + CELLS_AT_A_TIME)
        edges = boundaries(2**order, found[part], step=EDGE_STEPS, nest=True).reshape(found[part].size, 3, -1)
        reach = radius[cone[part]] + CELL_RADIUS_DEG / 2**order / EDGE_STEPS
        near = _separations(np.moveaxis(edges, 1, 2), axes[cone[part], None]) <= reach[:, None]
        touched[part] = near.any(axis=1)
    # A cone within one cell may touch no edge.
    touched |= found == own[cone]
    at = np.lexsort((found[touched], cone[touched]))
    return cone[touched][at], found[touched][at]


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


def few_ranges_of_cones(radec: ArrayLike, radius_deg: ArrayLike, order: int = ORDER) -> Ints:
    """First and last numbers of at most FEW_RANGES ranges for each of many cones, which hold all cells it touches.

    They hold about five times the cone's area; of a wide cone they may hold much of the sphere.

    Args:
        radec: float64[n, 2], of the axes, degrees.
        radius_deg: float64[n], or one of all.
        order: of the cells whose numbers are given.

    Returns:
        int64[n, FEW_RANGES, 2]; ranges that a cone does not need are from 0 to -1.

    Raises:
        UnusableDataError: an axis points nowhere on the sky.
    """
    axes = np.asarray(radec, dtype=np.float64).reshape(-1, 2)
    radius = np.broadcast_to(np.asarray(radius_deg, dtype=np.float64), axes.shape[:1])
    widths = RADII_A_CELL * np.maximum(radius, CELL_WIDTH_DEG / 2 ** (order + 2))
    levels = np.clip(np.floor(np.log2(CELL_WIDTH_DEG / widths)), 0, order).astype(np.int64)
    ranges = np.tile(np.array([0, -1], dtype=np.int64), (axes.shape[0], FEW_RANGES, 1))
    for level in np.unique(levels).tolist():
        those = np.flatnonzero(levels == level)
        cone, found = cells_of_cones(axes[those], radius[those], level)
        starts = _range_starts(cone, found)
        ends = np.append(starts[1:], cone.size) - 1
        number = np.arange(starts.size) - np.searchsorted(cone[starts], cone[starts])
        size = 4 ** (order - level)
        ranges[those[cone[starts]], number] = np.column_stack([found[starts] * size, (found[ends] + 1) * size - 1])
    return ranges


def _range_starts(cone: Ints, found: Ints) -> Ints:
    """Where ranges start in the sorted cells of cones: at its first cell, and behind its FEW_RANGES - 1 widest gaps."""
    is_first = np.diff(cone, prepend=-1) > 0
    gap = np.where(is_first, np.iinfo(np.int64).max, np.diff(found, prepend=0))
    widest = np.lexsort((-gap, cone))
    rank = np.empty(cone.size, dtype=np.int64)
    rank[widest] = np.arange(cone.size) - np.searchsorted(cone, cone[widest])
    return np.flatnonzero((rank < FEW_RANGES) & (gap > 1))


def separations_from_cells(radec: Floats, of_cells: Ints, order: int) -> Floats:
    """Degrees float64[n] between places float64[n, 2] and the centres of one cell int64[n] each."""
    from astropy_healpix.healpy import pix2vec

    return _separations(unit_vectors(radec), np.column_stack(pix2vec(2**order, of_cells, nest=True)))


def middle_of_cell(cell: int, order: int = ORDER) -> tuple[float, float]:
    """(ra, dec) of a cell's centre, degrees."""
    from astropy_healpix.healpy import pix2ang

    ra, dec = pix2ang(2**order, cell, nest=True, lonlat=True)
    return float(ra), float(dec)


def _separations(vectors: Floats, others: Floats) -> Floats:
    """Degrees between unit vectors ``[..., 3]``."""
    chord = np.sqrt(np.square(vectors - others).sum(axis=-1))
    return np.asarray(np.degrees(2.0 * np.arcsin(np.clip(0.5 * chord, 0.0, 1.0))))
