"""Pixels around many sources at once, gathered by integer offsets in blocks that fit the processor's cache."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FAR = 1 << 31  # px before an image
BLOCK_PIXELS = 1 << 16  # pixels gathered at a time: 256 kB of float32


@dataclass(frozen=True)
class Offsets:
    """Integer offsets from a source's nearest pixel: ``dy``, ``dx`` int64[m], px; ``reach`` is their largest size."""

    dy: NDArray[np.int64]
    dx: NDArray[np.int64]
    reach: int

    @property
    def pairs(self) -> NDArray[np.int64]:
        """int64[m, 2]: dy, dx."""
        return np.column_stack([self.dy, self.dx])


def nearest_pixels(xy: NDArray[np.float64]) -> NDArray[np.int64]:
    """Row and column of the pixels at float64[n, 2] (x, y): int64[n, 2]; outside of any image where not finite."""
    return np.where(np.isfinite(xy), np.rint(xy), -FAR).astype(np.int64)[:, ::-1].copy()


def ring_offsets(inner: float, outer: float) -> Offsets:
    """Offsets of the pixels whose distance from the central pixel lies in ``[inner, outer)`` px."""
    reach = int(np.ceil(outer))
    span = np.arange(-reach, reach + 1)
    square = span[:, None] ** 2 + span[None, :] ** 2
    row, column = np.nonzero((square >= inner**2) & (square < outer**2))
    return Offsets(span[row], span[column], reach)


@dataclass(frozen=True)
class PixelBlock:
    """Pixels of some of the sources.

    Attributes:
        rows: int64[b], which sources.
        flat: int64[b, m], index of each pixel in the flattened image, moved into the image where it was outside.
        outside: bool[b, m], pixels that lie outside the image; None when none does.
    """

    rows: NDArray[np.int64]
    flat: NDArray[np.int64]
    outside: NDArray[np.bool_] | None


def pixel_blocks(xy: NDArray[np.float64], shape: tuple[int, int], offsets: Offsets) -> Iterator[PixelBlock]:
    """Yield the pixels at ``offsets`` around each source, a block of sources at a time.

    Args:
        xy: float64[n, 2], finite positions within a few thousand pixels of the image, px.
        shape: ``(ny, nx)`` of the image.
        offsets: which pixels around each source.
    """
    ny, nx = shape
    column, row = np.rint(xy).astype(np.int64).T
    near_edge = (np.minimum(column, row) < offsets.reach) | (column >= nx - offsets.reach) | (row >= ny - offsets.reach)
    # Sources near an edge come last, so that the bounds of nearly all blocks need no test.
    order = np.argsort(near_edge, kind="stable")
    flat_offsets = offsets.dy * nx + offsets.dx
    step = max(1, BLOCK_PIXELS // max(1, offsets.dy.size))
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        if not near_edge[rows].any():
            yield PixelBlock(rows, (row[rows] * nx + column[rows])[:, None] + flat_offsets, None)
            continue
        y = row[rows, None] + offsets.dy
        x = column[rows, None] + offsets.dx
        outside = (y < 0) | (y >= ny) | (x < 0) | (x >= nx)
        yield PixelBlock(rows, np.clip(y, 0, ny - 1) * nx + np.clip(x, 0, nx - 1), outside)
