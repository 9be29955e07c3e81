"""Points near to one another: K-D trees, and one-to-one pairs."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.spatial import KDTree


def closest_pairs(i: NDArray[np.intp], j: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One-to-one among pairs (i, j), intp[n] each, best first: each pair whose i and j no better pair has taken."""
    taken_i: list[NDArray[np.intp]] = []
    taken_j: list[NDArray[np.intp]] = []
    while len(i):
        first = np.zeros((2, len(i)), bool)
        for row, values in zip(first, (i, j), strict=True):
            row[np.unique(values, return_index=True)[1]] = True
        both = first.all(axis=0)  # never empty: the best pair of all is first in both
        taken_i.append(i[both])
        taken_j.append(j[both])
        free = ~(np.isin(i, i[both]) | np.isin(j, j[both]))
        i, j = i[free], j[free]
    empty = np.empty(0, np.intp)
    return np.concatenate([empty, *taken_i]), np.concatenate([empty, *taken_j])


def tree_of(points: NDArray[Any]) -> "KDTree":
    """K-D tree of float64[n, d]."""
    from scipy.spatial import KDTree  # see pipeline/__init__.py

    return KDTree(points)  # type: ignore[no-untyped-call]


def nearest_of(
    points: NDArray[np.float64], places: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distance of the nearest of the points float64[n, 2] from each place float64[m, 2], and which it is; [m] each."""
    distance, nearest = tree_of(points).query(places)  # type: ignore[no-untyped-call]
    return np.asarray(distance), np.asarray(nearest, dtype=np.intp)
