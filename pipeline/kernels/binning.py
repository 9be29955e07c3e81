"""Images in coarser pixels."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import SIZE, Kernel, array

ROWS_AT_ONCE = 32  # of the fine image: what comes between stays in the processor's cache
FLOATS = array(np.float32)
_BINNED_SUMS = Kernel("binned_sums", FLOATS, SIZE, SIZE, SIZE, FLOATS, FLOATS)


def binned_sums(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Sums of size×size pixels, float32[ny // size, nx // size]; an incomplete border is left out, NaN stays NaN."""
    image = np.ascontiguousarray(image)
    ny, nx = image.shape
    sums = np.empty((ny // size, nx // size), np.float32)
    _BINNED_SUMS(image, ny, nx, size, np.empty(nx, np.float32), sums)
    return sums


def binned_sums_reference(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """`binned_sums` by NumPy."""
    ny, nx = (length // size for length in image.shape)
    sums = np.empty((ny, nx), np.float32)
    step = max(1, ROWS_AT_ONCE // size)
    for start in range(0, ny, step):
        fine = image[start * size : min(start + step, ny) * size, : nx * size]
        rows = fine[0::size].copy()
        for first in range(1, size):
            rows += fine[first::size]
        total = sums[start : start + step]
        total[...] = rows[:, 0::size]
        for first in range(1, size):
            total += rows[:, first::size]
    return sums
