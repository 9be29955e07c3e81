"""The pixels along and across a line."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import DOUBLE, SIZE, Kernel, array

_FLOATS, _DOUBLES, _BYTES = array(np.float32), array(np.float64), array(np.uint8)
_STRIP_PIXELS = Kernel(
    "strip_pixels",
    *(_FLOATS, SIZE, SIZE, _BYTES, SIZE, SIZE, SIZE, *[DOUBLE] * 4, _DOUBLES, SIZE, _DOUBLES, SIZE, SIZE, _FLOATS),
)

Floats = NDArray[np.float64]


def strip_pixels(
    image: NDArray[np.float32],
    masked: NDArray[np.bool_],
    bin_px: int,
    line: tuple[float, float, float],
    t: Floats,
    s: Floats,
) -> NDArray[np.float32]:
    """The pixels nearest to points of a strip, float32[n, m]; NaN outside of the image and in masked bins.

    image: float32[ny, nx], contiguous; masked: bool, bins of ``bin_px`` pixels a side, what is beyond the last belongs
    to it; line: x, y (px) and angle (radians); t: float64[n], px along it; s: float64[m] or [n, m], px to its left.
    """
    x, y, angle = line
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    values, across = np.empty((t.size, s.shape[-1]), np.float32), s.shape[-1]
    bins = np.ascontiguousarray(masked).view(np.uint8)
    points = np.ascontiguousarray(t), t.size, np.ascontiguousarray(s), across, across if s.ndim == 2 else 0
    _STRIP_PIXELS(
        np.ascontiguousarray(image), *image.shape, bins, *bins.shape, bin_px, x, y, cosine, sine, *points, values
    )
    return values


def strip_pixels_reference(
    image: NDArray[np.float32],
    masked: NDArray[np.bool_],
    bin_px: int,
    line: tuple[float, float, float],
    t: Floats,
    s: Floats,
) -> NDArray[np.float32]:
    """`strip_pixels` by NumPy."""
    x, y, angle = line
    cosine, sine = np.cos(angle), np.sin(angle)
    column = np.rint(x + t[:, None] * cosine - s * sine).astype(np.intp)
    row = np.rint(y + t[:, None] * sine + s * cosine).astype(np.intp)
    inside = (column >= 0) & (column < image.shape[1]) & (row >= 0) & (row < image.shape[0])
    column, row = np.where(inside, column, 0), np.where(inside, row, 0)
    bins = np.minimum(row // bin_px, masked.shape[0] - 1), np.minimum(column // bin_px, masked.shape[1] - 1)
    return np.where(inside & ~masked[bins], image[row, column], np.float32(np.nan))
