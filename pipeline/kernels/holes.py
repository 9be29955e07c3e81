"""Values of single pixels by their neighbours."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import SIZE, Kernel, array, whole
from pipeline.kernels.places import ANY_BIT

_FROM_NEIGHBOURS = Kernel(
    "from_neighbours",
    *(array(np.float32), array(np.uint8), SIZE, SIZE, whole(8), array(np.int64), SIZE, array(np.float64)),
)
Mask = NDArray[np.bool_] | NDArray[np.uint8]


def from_neighbours(
    image: NDArray[np.float32], masked: Mask, where: NDArray[np.int64], bits: int = ANY_BIT
) -> NDArray[np.float64]:
    """What the eight neighbours of some pixels say, float64[n]; NaN where all of them are masked.

    Eight good ones tell the surface through them that is quadratic in x and in y, ``(2 * sides - corners) / 4``, fewer
    their mean. image: float32[ny, nx], contiguous; masked: bool or uint8[ny, nx], contiguous: pixels with one of
    ``bits`` are; where: int64[n], flat indices.
    """
    found = np.empty(where.size)
    places = np.ascontiguousarray(where), where.size
    _FROM_NEIGHBOURS(image, masked.view(np.uint8), *image.shape, bits, *places, found)
    return found


def from_neighbours_reference(
    image: NDArray[np.float32], masked: Mask, where: NDArray[np.int64], bits: int = ANY_BIT
) -> NDArray[np.float64]:
    """`from_neighbours` by NumPy."""
    masked = (masked.view(np.uint8) & np.uint8(bits)) > 0
    ny, nx = image.shape
    row, column = np.divmod(where, nx)
    totals = {1: np.zeros(len(row)), 2: np.zeros(len(row))}  # by squared distance: sides, corners
    good = np.zeros(len(row), dtype=np.int64)
    for dy, dx in ((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx):
        y, x = row + dy, column + dx
        inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
        y, x = np.where(inside, y, 0), np.where(inside, x, 0)
        believed = inside & ~masked[y, x]
        totals[dy * dy + dx * dx] += np.where(believed, image[y, x], 0.0)
        good += believed
    quadratic = (2.0 * totals[1] - totals[2]) / 4.0
    mean = np.divide(totals[1] + totals[2], good, out=np.full(len(row), np.nan), where=good > 0)
    return np.where(good == 8, quadratic, mean)
