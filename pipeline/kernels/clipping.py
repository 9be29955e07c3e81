"""Sums of a few aligned images without what stands far above the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import FLAG, REAL, SIZE, Kernel, array

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
_MOVED_PIXELS = Kernel("moved_pixels", _WHOLE, *[SIZE] * 4, _WHOLE, *[SIZE] * 5, _WHOLE, _WHOLE, _WHOLE, result=SIZE)
_MOVED_ROWS = Kernel("moved_rows", _FLOATS, SIZE, SIZE, FLAG, *[SIZE] * 3, _WHOLE, SIZE, SIZE, SIZE, _FLOATS)
_ADD_WEIGHTED = Kernel("add_weighted", _FLOATS, _FLOATS, _FLOATS, _FLOATS, SIZE)

Image = NDArray[np.float32]


def clipped_sums(values: Image, limits: Image) -> tuple[Image, Image]:
    """Sums and numbers of the values that do not stand far above the others, float32[ny, nx] each.

    values: float32[n, ny, nx], NaN where there is none; limits: float32[n], `CLIP_SIGMA` times the noise of each. A
    value is left out where it exceeds the lower median by its limit and by `STAR_CONTRAST` times the brightest mean of
    the other values within `REACH` px, less what noise alone makes of the brightest of the neighbours.
    """
    number, ny, nx = values.shape
    total, count = np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32)
    work = np.empty((2 * ny, nx), np.float32), np.empty(number, np.float32)
    chosen = limits, limits.min(), _margin(limits), CLIP_BOTH, STAR_CONTRAST, REACH
    _CLIPPED_SUMS(values, number, ny, nx, *chosen, *work, total, count)
    return total, count


def take_in(total: Image, count: Image, where: NDArray[np.int64], values: Image, limits: Image) -> None:
    """Add, IN PLACE, the values that the light nearby allows to the sums and the numbers of values.

    total, count: float32[ny, nx], of `clipped_sums`; where: int64[m], flat indices; values: float32[m].
    """
    chosen = _margin(limits), STAR_CONTRAST, REACH
    _TAKE_IN(total, count, *total.shape, where, values, where.size, *chosen, np.empty(where.size, np.uint8))


@dataclass(frozen=True)
class Blocks:
    """How an image comes to lie on the reference: by blocks of rows and tiles of columns, each moved by whole pixels.

    Attributes:
        shape: (ny, nx) of image and reference.
        tile: columns of the reference that are moved alike.
        shifts: int64[blocks, tiles, 2] (x, y), px, reference to image.
        rows: of a block, which reaches ``REACH`` rows beyond.
    """

    shape: tuple[int, int]
    tile: int
    shifts: NDArray[np.int64]
    rows: int

    def reach(self, block: int) -> slice:
        """Rows of the reference that a block reaches to."""
        return slice(max(0, block * self.rows - REACH), min(self.shape[0], (block + 1) * self.rows + REACH))


def moved_pixels(
    known: NDArray[np.int64], blocks: Blocks
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Which pixels of an image fall on each block, and where.

    known: int64[n], flat indices in the image, ascending. Returns int64[blocks + 1], where the pixels of each block
    begin; int64[m], which; int64[m], flat indices, counted from the first row that the block reaches to.
    """
    number, tiles, _ = blocks.shifts.shape
    starts, most = np.empty(number + 1, np.int64), 2 * known.size
    while True:
        which, where = np.empty(most, np.int64), np.empty(most, np.int64)
        how = *blocks.shape, blocks.tile, blocks.shifts, tiles, number, blocks.rows, REACH
        found = _MOVED_PIXELS(known, known.size, *how, most, starts, which, where)
        if found <= most:
            return starts, which[:found], where[:found]
        most = found


def moved_rows(part: Image, start: int, turned: bool, blocks: Blocks, block: int, result: Image) -> None:
    """Put the rows of the reference that a block reaches to into ``result``, NaN where the image has nothing.

    part: float32[rows, nx], contiguous, rows of the image from ``start`` on that hold what is needed; of an image that
    is turned by half a turn as they are before, so that the last pixel is the first one of row ``start``. result:
    float32[rows, nx], contiguous.
    """
    rows, shifts = blocks.reach(block), blocks.shifts[block]
    if result.shape != (rows.stop - rows.start, blocks.shape[1]):
        raise ValueError(f"room for {result.shape}, expected {rows.stop - rows.start} rows of {blocks.shape[1]}")
    _MOVED_ROWS(
        part, start, len(part), turned, *blocks.shape, blocks.tile, shifts, len(shifts), rows.start, rows.stop, result
    )


def add_weighted(total: Image, weight: Image, image: Image, weights: Image) -> None:
    """Add, IN PLACE, an image times its weights where these are not 0, and the weights: all float32, contiguous."""
    _ADD_WEIGHTED(total, weight, image, weights, total.size)


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
    known: NDArray[np.int64], blocks: Blocks
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """`moved_pixels` by NumPy."""
    (_, nx), starts, which, where = blocks.shape, [0], [], []
    for block, shifts in enumerate(blocks.shifts):
        rows = blocks.reach(block)
        y, x = np.divmod(known, nx)
        own = np.clip(x - shifts[np.minimum(x // blocks.tile, len(shifts) - 1), 0], 0, nx - 1) // blocks.tile
        x, y = x - shifts[own, 0], y - shifts[own, 1]
        inside = np.flatnonzero((x >= 0) & (x < nx) & (y >= rows.start) & (y < rows.stop))
        which.append(inside)
        where.append((y[inside] - rows.start) * nx + x[inside])
        starts.append(starts[-1] + inside.size)
    return np.array(starts), np.concatenate(which), np.concatenate(where)


def moved_rows_reference(part: Image, start: int, turned: bool, blocks: Blocks, block: int, result: Image) -> None:
    """`moved_rows` by NumPy."""
    rows, (ny, nx) = blocks.reach(block), blocks.shape
    image = np.full(blocks.shape, np.nan, np.float32)
    image[start : start + len(part)] = part[::-1, ::-1] if turned else part
    y, x = np.mgrid[rows, :nx]
    dx, dy = np.moveaxis(blocks.shifts[block][x // blocks.tile], -1, 0)
    inside = (y + dy >= 0) & (y + dy < ny) & (x + dx >= 0) & (x + dx < nx)
    result[...] = np.where(inside, image[np.where(inside, y + dy, 0), np.where(inside, x + dx, 0)], np.float32(np.nan))


def add_weighted_reference(total: Image, weight: Image, image: Image, weights: Image) -> None:
    """`add_weighted` by NumPy."""
    product = image * weights
    product[weights == 0] = 0  # NaN × 0
    total += product
    weight += weights


def _brightest(image: Image) -> Image:
    """Maximum within REACH px in x and in y."""
    wide = np.pad(image, REACH, constant_values=-np.inf)
    size = 2 * REACH + 1
    return np.asarray(np.lib.stride_tricks.sliding_window_view(wide, (size, size)).max(axis=(2, 3)))
