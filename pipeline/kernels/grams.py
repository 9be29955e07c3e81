"""Normal equations of least squares, of many groups of rows at once."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import SIZE, Kernel, array

LANES = 8  # values of a register: columns are filled up to a whole number of them
_FLOATS, _WHOLE = array(np.float32), array(np.int64)
_GROUP_GRAMS = Kernel("group_grams", _FLOATS, SIZE, _WHOLE, SIZE, _FLOATS, _FLOATS, _FLOATS, _FLOATS)

Floats = NDArray[np.float32]


def group_grams(columns: Floats, starts: NDArray[np.int64], weights: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Weighted products of the columns with one another and with ``right``, summed over each group of rows.

    columns: float32[rows, k]; starts: int64[groups + 1], where groups of rows begin, the last one's end behind them;
    weights, right: float32[rows]. Returns float32[groups, k, k] and float32[groups, k].
    """
    number, groups = columns.shape[1], len(starts) - 1
    width = -(-number // LANES) * LANES
    wide = np.zeros((len(columns), width), np.float32)
    wide[:, :number] = columns
    grams, sums = np.empty((groups, width, width), np.float32), np.empty((groups, width), np.float32)
    rows = np.ascontiguousarray(weights), np.ascontiguousarray(right)
    _GROUP_GRAMS(wide, width, np.ascontiguousarray(starts), groups, *rows, grams, sums)
    return grams[:, :number, :number], sums[:, :number]


def group_grams_reference(
    columns: Floats, starts: NDArray[np.int64], weights: Floats, right: Floats
) -> tuple[Floats, Floats]:
    """`group_grams` by NumPy."""
    parts = [slice(*edges) for edges in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]
    grams = [columns[part].T @ (columns[part] * weights[part, None]) for part in parts]
    return np.stack(grams), np.stack([columns[part].T @ (weights[part] * right[part]) for part in parts])
