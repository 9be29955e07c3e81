"""The bright stars of an image or a catalogue, picked evenly: as many in each cell, so that ranks correspond."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def brightest_by_cell(places: Floats, brightness: Floats, side: tuple[float, float], each: int) -> Indices:
    """Indices of the ``each`` brightest of each cell, all the brightest ones of a cell first, then all the second ones.

    places: float64[n, 2], finite; brightness: float64[n], larger is brighter, NaN faintest; side: of the cells, along
    both axes.
    """
    if not len(places):
        return np.empty(0, np.int64)
    column, row = np.floor((places - places.min(axis=0)) / side).astype(np.int64).T
    cell = column * (row.max() + 1) + row
    bright = np.nan_to_num(brightness, nan=-np.inf)
    order = np.lexsort((-bright, cell))
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    picked = order[rank < each]
    return picked[np.lexsort((-bright[picked], rank[rank < each]))]
