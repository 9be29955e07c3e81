"""Detections that are one star: pieces whose centred positions agree."""

import numpy as np
from numpy.typing import NDArray

AGREE_FWHM = 0.5  # between centred positions of one star: no image shows two stars so near as two

Floats = NDArray[np.float64]


def first_of_star(x: Floats, y: Floats, fwhm: float) -> NDArray[np.intp]:
    """For each detection the first one, itself or one before it, that lies within half a FWHM of it.

    x, y: float64[n], px, the most important first; fwhm: of the stars, px. Returns int[n]: its own number for a
    detection that is a star of its own.
    """
    first = np.arange(len(x))
    for one, other in _pairs(x, y, AGREE_FWHM * fwhm):
        if first[one] == one and first[other] == other:
            first[other] = one
    return first


def _pairs(x: Floats, y: Floats, distance: float) -> NDArray[np.intp]:
    """Pairs (earlier, later) nearer than ``distance``, in order: int[m, 2]. Along x, few of thousands are so near."""
    order = np.argsort(x, kind="stable")
    found = [np.empty((0, 2), np.intp)]
    for step in range(1, len(x)):
        one, other = order[:-step], order[step:]
        beside = x[other] - x[one] < distance
        if not beside.any():
            break
        one, other = one[beside], other[beside]
        near = np.hypot(x[other] - x[one], y[other] - y[one]) < distance
        found.append(np.sort(np.column_stack([one[near], other[near]]), axis=1))
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
