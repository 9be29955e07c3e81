"""Sums of a few aligned images without what stands far above the others."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import REAL, SIZE, Kernel, array

CLIP_SIGMA = 5.0  # noise above the others at which a pixel is left out
CLIP_BOTH = 4  # values from which two may be left out of the mean of the others
CLIP_NEIGHBOUR_SIGMA = 2.5  # noise of that mean by which a neighbour must stand out to count
STAR_CONTRAST = 5.0  # times the brightest value nearby in other frames: no change of seeing or rounded shift reaches it
REACH = 2  # px that the brightness of a neighbour counts: wings of a frame of bad seeing, rounded shifts

_BYTES, _FLOATS, _WHOLE = (array(dtype) for dtype in (np.uint8, np.float32, np.int64))
_CLIPPED_SUMS = Kernel(
    "clipped_sums",
    *(_FLOATS, SIZE, SIZE, SIZE, _FLOATS, REAL, REAL, REAL, REAL, SIZE),
    *(_FLOATS, _FLOATS, _FLOATS, _FLOATS),
)
_TAKE_IN = Kernel("take_in", _FLOATS, _FLOATS, SIZE, SIZE, _WHOLE, _FLOATS, SIZE, REAL, REAL, SIZE, _BYTES)
_MOVED_PIXELS = Kernel("moved_pixels", _WHOLE, SIZE, SIZE, SIZE, _WHOLE, SIZE, SIZE, SIZE, _WHOLE, _WHOLE, result=SIZE)

Image = NDArray[np.float32]


def clipped_sums(values: Image, limits: Image) -> tuple[Image, Image]:
    """Sums and numbers of the values that do not stand far above the others, float32[ny, nx] each.

    values: float32[n, ny, nx], NaN where there is none; limits: float32[n], `CLIP_SIGMA` times the noise of each. A
    value is left out where it exceeds the lower median by its limit and by `STAR_CONTRAST` times the brightest mean of
    the other values within `REACH` px, less what noise alone makes of the brightest of the neighbours.
    """
    number, ny, nx = values.shape
    total, count = np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32)
    work = np.empty((2 * ny + 3, nx), np.float32), np.empty(number, np.float32)
    chosen = limits, limits.min(), _margin(limits), CLIP_BOTH, STAR_CONTRAST, REACH
    _CLIPPED_SUMS(values, number, ny, nx, *chosen, *work, total, count)
    return total, count


def take_in(total: Image, count: Image, where: NDArray[np.int64], values: Image, limits: Image) -> None:
    """Add, IN PLACE, the values that the light nearby allows to the sums and the numbers of values.

    total, count: float32[ny, nx], of `clipped_sums`; where: int64[m], flat indices; values: float32[m].
    """
    chosen = _margin(limits), STAR_CONTRAST, REACH
    _TAKE_IN(total, count, *total.shape, where, values, where.size, *chosen, np.empty(where.size, np.uint8))


def moved_pixels(
    known: NDArray[np.int64], nx: int, tile: int, shifts: NDArray[np.int64], rows: slice
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which pixels of a frame fall on some rows of the reference, and where: int64[m] each.

    known: int64[n], flat indices in the frame; tile: columns of the reference that are moved alike; shifts:
    int64[tiles, 2] (x, y), reference to frame. Where they fall is counted from the first of the rows.
    """
    which, where = np.empty(known.size, np.int64), np.empty(known.size, np.int64)
    tiles = np.ascontiguousarray(shifts), len(shifts)
    found = _MOVED_PIXELS(known, known.size, nx, tile, *tiles, rows.start, rows.stop, which, where)
    return which[:found], where[:found]


def _margin(limits: Image) -> np.float32:
    """What noise alone makes of the brightest of the neighbours: on empty sky the noise limit decides."""
    return np.float32(CLIP_NEIGHBOUR_SIGMA / CLIP_SIGMA * limits.min())


def clipped_sums_reference(values: Image, limits: Image) -> tuple[Image, Image]:
    """`clipped_sums` by NumPy."""
    number = len(values)
    there = ~np.isnan(values)
    known = np.where(there, values, np.float32(0))  # few; for what is highest they count as sky
    total, count = np.zeros_like(values[0]), there.sum(axis=0).astype(np.float32)
    for value in known:  # in this order
        total += value
    ranked = np.sort(known, axis=0)
    highest, second = ranked[-1], ranked[-2] if number > 1 else np.float32(0)
    without = np.where(count >= CLIP_BOTH, 2, np.minimum(count, 1))
    others = np.where(without == 2, total - highest - second, np.where(without == 1, total - highest, total))
    share = np.maximum(count - without, 1).astype(np.float32)
    light = _brightest(others / share - _margin(limits) / np.sqrt(share))
    tolerance = np.float32(STAR_CONTRAST) * np.maximum(light, 0)
    clipped = ranked[-1] - ranked[0] > tolerance + limits.min()
    middle = (np.maximum(count.astype(np.intp), 1) - 1) // 2
    level = np.take_along_axis(np.sort(values, axis=0), middle[None], axis=0) + tolerance  # NaN last
    kept = values <= level + limits[:, None, None]  # false for NaN
    sums = np.zeros_like(total)
    for value in np.where(kept, values, np.float32(0)):
        sums += value
    return np.where(clipped, sums, total), np.where(clipped, kept.sum(axis=0), count).astype(np.float32)


def take_in_reference(total: Image, count: Image, where: NDArray[np.int64], values: Image, limits: Image) -> None:
    """`take_in` by NumPy."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, total / count - _margin(limits) / np.sqrt(count), -np.inf)
    fits = values <= np.float32(STAR_CONTRAST) * _brightest(mean).reshape(-1)[where]
    np.add.at(total.reshape(-1), where[fits], values[fits])
    np.add.at(count.reshape(-1), where[fits], np.float32(1))


def moved_pixels_reference(
    known: NDArray[np.int64], nx: int, tile: int, shifts: NDArray[np.int64], rows: slice
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`moved_pixels` by NumPy."""
    y, x = np.divmod(known, nx)
    own = np.clip(x - shifts[np.minimum(x // tile, len(shifts) - 1), 0], 0, nx - 1) // tile
    x, y = x - shifts[own, 0], y - shifts[own, 1]
    which = np.flatnonzero((x >= 0) & (x < nx) & (y >= rows.start) & (y < rows.stop))
    return which, (y[which] - rows.start) * nx + x[which]


def _brightest(image: Image) -> Image:
    """Maximum within REACH px in x and in y."""
    wide = np.pad(image, REACH, constant_values=-np.inf)
    size = 2 * REACH + 1
    return np.asarray(np.lib.stride_tricks.sliding_window_view(wide, (size, size)).max(axis=(2, 3)))
