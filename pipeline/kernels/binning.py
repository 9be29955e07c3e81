"""Images in coarser pixels and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import SIZE, Kernel, array

ROWS_AT_ONCE = 32  # of the fine image: what comes between stays in the processor's cache
FLOATS = array(np.float32)
_BINNED_SUMS = Kernel("binned_sums", FLOATS, SIZE, SIZE, SIZE, FLOATS, FLOATS)
_SUBTRACT_ENLARGED = Kernel("subtract_enlarged", FLOATS, SIZE, SIZE, FLOATS, SIZE, SIZE, SIZE, FLOATS)


def binned_sums(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Sums of size×size pixels, float32[ny // size, nx // size]; an incomplete border is left out, NaN stays NaN."""
    image = np.ascontiguousarray(image)
    ny, nx = image.shape
    sums = np.empty((ny // size, nx // size), np.float32)
    _BINNED_SUMS(image, ny, nx, size, np.empty(nx, np.float32), sums)
    return sums


def subtract_enlarged(image: NDArray[np.float32], coarse: NDArray[np.float32], size: int) -> None:
    """Subtract IN PLACE what ``coarse`` tells at the centres of size×size pixels, linear in between.

    image: float32[ny, nx], contiguous; coarse: float32[ny // size, nx // size]; beyond the outermost centres it goes on
    level.
    """
    work = np.empty((2, image.shape[1]), np.float32)
    _SUBTRACT_ENLARGED(image, *image.shape, np.ascontiguousarray(coarse), *coarse.shape, size, work)


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


def subtract_enlarged_reference(image: NDArray[np.float32], coarse: NDArray[np.float32], size: int) -> None:
    """`subtract_enlarged` by NumPy."""
    ny, nx = image.shape
    rows, columns = np.pad(coarse, ((1, 2), (0, 0)), mode="edge"), _places(nx, size)
    step = max(1, ROWS_AT_ONCE // size)
    weights = _weights(step * size, size)
    for start in range(0, ny, step * size):
        fine = image[start : start + step * size]
        near = _enlarged_rows(rows[start // size :][: step + 2], *columns)
        fine -= weights[: len(fine), : len(near)] @ near


def _enlarged_rows(coarse: NDArray[Any], before: NDArray[np.intp], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of ``coarse`` in narrower pixels; ``before``, ``share``: of `_places`."""
    padded = np.pad(coarse, ((0, 0), (1, 2)), mode="edge")
    return padded.take(before, axis=1) + np.diff(padded, axis=1).take(before, axis=1) * share


def _weights(rows: int, size: int) -> NDArray[np.float32]:
    """Weights of the coarse rows, from the one before the first, in each of ``rows`` fine ones."""
    before, share = _places(rows, size)
    weights = np.zeros((rows, rows // size + 2), np.float32)
    weights[np.arange(rows), before] = 1 - share
    weights[np.arange(rows), before + 1] = share
    return weights


def _places(number: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The coarse pixel before each fine one, counted from one that precedes the first, and the share of the next."""
    place = (np.arange(number) + 0.5) / size + 0.5
    before = place.astype(np.intp)
    return before, (place - before).astype(np.float32)
