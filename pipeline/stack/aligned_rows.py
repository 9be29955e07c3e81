"""Frames as they lie on the reference frame, a few rows at a time: large ones are never in memory as a whole."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.clipping import REACH, Blocks, moved_pixels, moved_rows
from pipeline.registration.alignment import Alignment
from pipeline.statistics import MAD_TO_SIGMA, median_of

Image = NDArray[np.float32]

TILE_SHIFT = 0.5  # px by which rotation and scale may move one end of a tile against the other
CLIP_ROWS = 24  # rows at once: for the processor's cache, and for rotations up to a degree
NOISE_SAMPLE = 65536  # pixels that give a frame's noise
WINDOW_PIXELS = 1 << 22  # of each frame that are in memory: all of 2048 x 2048
NONE = np.empty(0, np.int64)


class RowSource(Protocol):
    """An image that need not be in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(ny, nx)."""

    def rows(self, start: int, stop: int) -> Image:
        """Rows float32[stop - start, nx], its own."""


class _ArrayRows:
    def __init__(self, image: Image) -> None:
        self._image = image

    @property
    def shape(self) -> tuple[int, ...]:
        return self._image.shape

    def rows(self, start: int, stop: int) -> Image:
        return np.array(self._image[start:stop], np.float32, order="C")


class AlignedRows:
    """A frame seen through its alignment, a few rows at a time; a window of it is in memory."""

    def __init__(self, image: Image | RowSource, alignment: Alignment, suspects: NDArray[np.integer] = NONE) -> None:
        self._source: RowSource = _ArrayRows(image) if isinstance(image, np.ndarray) else image
        ny, nx = self._source.shape
        self._placement = Placement(alignment, (ny, nx))
        self._height = min(ny, max(1, WINDOW_PIXELS // max(nx, 1)))
        self._known = suspects.astype(np.int64)  # flat, in the source
        self._first, self._window = 0, np.empty((0, nx), np.float32)
        self.blocks = self._placement.blocks()
        self.noise, values = self._look_through()
        seen = self._known
        if self._placement.turned:
            seen, values = ny * nx - 1 - self._known[::-1], values[::-1]
        self._starts, which, self._where = moved_pixels(seen, self.blocks)
        self._values = values[which]

    @property
    def shape(self) -> tuple[int, ...]:
        return self._source.shape

    def _look_through(self) -> tuple[float, Image]:
        """The noise without the suspects, and the suspects' values; of a small image the window stays."""
        ny, nx = self.shape
        size, turned = ny * nx, self._placement.turned
        step = max(1, size // NOISE_SAMPLE)
        sample, values = [], [np.empty(0, np.float32)]
        for start in range(0, ny, self._height):
            part = self._source.rows(start, min(start + self._height, ny))
            inside = (
                self._known[slice(*np.searchsorted(self._known, (start * nx, start * nx + part.size)))] - start * nx
            )
            values.append(part.reshape(-1)[inside])
            part.reshape(-1)[inside] = np.nan
            # As of the turned image, whose first pixel is the last one here.
            first = (size - 1 - start * nx) % step if turned else -start * nx % step
            sample.append(part.reshape(-1)[first::step].copy())
            if len(part) == ny:
                self._window = part
        return sky_noise(np.concatenate(sample)) if sample else float("inf"), np.concatenate(values)

    def _hold(self, start: int, stop: int) -> None:
        """Have rows of the turned image in the window, as the file has them but for the suspects, which are NaN."""
        if self._first <= start <= stop <= self._first + len(self._window):
            return
        ny, nx = self.shape
        end = min(ny, max(stop, start + self._height))
        first, last = (ny - end, ny - start) if self._placement.turned else (start, end)
        self._window = self._source.rows(first, last)
        inside = self._known[slice(*np.searchsorted(self._known, (first * nx, last * nx)))] - first * nx
        self._window.reshape(-1)[inside] = np.nan
        self._first = start

    def suspects(self, block: int) -> tuple[NDArray[np.int64], Image]:
        """Where in the rows of a block the suspects fall, as flat indices, and their values."""
        own = slice(self._starts[block], self._starts[block + 1])
        return self._where[own], self._values[own]

    def rows_into(self, result: Image, block: int) -> None:
        """Rows of the reference that a block reaches to, float32[rows, nx]; each tile by its own rounded shift."""
        ny, rows, moved = self.shape[0], self.blocks.reach(block), self.blocks.shifts[block, :, 1]
        lowest = min(max(rows.start + int(moved.min()), 0), ny)
        self._hold(lowest, max(lowest, min(rows.stop + int(moved.max()), ny)))
        moved_rows(self._window, self._first, self._placement.turned, self.blocks, block, result)


class Placement:
    """How the tiles of a frame are shifted to the reference's pixels."""

    def __init__(self, alignment: Alignment, shape: tuple[int, int]) -> None:
        ny, nx = shape
        centre = np.array([(nx - 1) / 2, (ny - 1) / 2])
        matrix, middle = alignment.matrix, alignment.to_frame(centre[None])[0]
        self.turned = bool(matrix[0, 0] < 0)  # after a meridian flip: turned back by half a turn about its centre
        if self.turned:
            matrix, middle = -matrix, 2 * centre - middle
        self._ny, self._nx = ny, nx
        self._middle, self._centre = middle, centre
        self._excess = matrix - np.eye(2)  # what the transformation does besides shifting
        slope = float(np.abs(self._excess).max())
        self._tile = nx if slope * max(shape) <= TILE_SHIFT else max(1, int(TILE_SHIFT / slope))

    def tiles(self) -> NDArray[np.intp]:
        """First columns of the tiles."""
        return np.arange(0, self._nx, self._tile)

    @property
    def tile(self) -> int:
        """Columns of a tile."""
        return self._tile

    def shifts(self, starts: NDArray[np.intp], row: NDArray[np.float64] | float) -> NDArray[np.int64]:
        """Shifts int64[n, 2] of tiles that begin at these columns, about this row."""
        x = np.minimum(starts + (self._tile - 1) / 2, self._nx - 1)
        points = np.column_stack([x, np.broadcast_to(row, x.shape)])
        return np.asarray(np.rint(self.to_turned_frame(points) - points), dtype=np.int64)

    def shifts_of(self, xy: NDArray[np.float64]) -> NDArray[np.int64]:
        """Shifts int64[n, 2] of the tiles that hold places of the reference, in a stack of `CLIP_ROWS` rows at once."""
        column, row = np.clip(np.rint(xy), 0, (self._nx - 1, self._ny - 1)).astype(np.intp).T
        return self.shifts(column // self._tile * self._tile, self._middle_rows(row // CLIP_ROWS * CLIP_ROWS))

    def blocks(self) -> Blocks:
        """Of a stack of `CLIP_ROWS` rows at once: a block's tiles are moved as about its middle row."""
        starts, middles = self.tiles(), self._middle_rows(np.arange(0, self._ny, CLIP_ROWS))
        shifts = self.shifts(np.tile(starts, middles.size), np.repeat(middles, starts.size))
        return Blocks((self._ny, self._nx), self._tile, shifts.reshape(middles.size, starts.size, 2), CLIP_ROWS)

    def _middle_rows(self, first: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of blocks that begin at these rows, with what they reach to."""
        low = np.maximum(first - REACH, 0)
        high = np.minimum(np.minimum(first + CLIP_ROWS, self._ny) + REACH, self._ny)
        return np.asarray((low + high - 1) / 2)

    def to_turned_frame(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places on the frame, turned back if it was, of places on the reference: float64[n, 2]."""
        points = xy - self._centre
        return np.asarray(xy + points @ self._excess.T + self._middle - self._centre)


def sky_noise(frame: Image) -> float:
    """Noise of the sky pixels; infinite, so that nothing is clipped, for an empty frame."""
    sample = np.ravel(frame)[:: max(1, frame.size // NOISE_SAMPLE)]
    sample = sample[np.isfinite(sample)]
    return MAD_TO_SIGMA * median_of(np.abs(sample - median_of(sample))) if sample.size else float("inf")
