"""Bad pixels under an aperture: filled in from their neighbours, and known by the apertures they touch."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.flags import Flag
from pipeline.kernels.holes import Mask, from_neighbours
from pipeline.kernels.places import ANY_BIT, Places, marked_places

HOLE_ROUNDS = 3  # px from its rim that a hole is filled in
PIXEL_DTYPE = np.dtype([("index", "i4"), ("bits", "u1")])  # flat index (y * nx + x), bits of PixelBit


class PixelBit(IntFlag):
    """What is known against a pixel of a frame; a pixel may have several bits."""

    BAD = 1  # hot, dead, or without a usable flat
    SATURATED = 2  # raw counts at or above the detector's limit
    COSMIC = 4  # hit by a cosmic ray
    TRAIL = 8  # of a satellite or an aircraft
    NONLINEAR = 16  # raw counts above the level up to which they are proportional to light


NO_VALUE = PixelBit.BAD | PixelBit.COSMIC  # the pixel's own value tells nothing of the sky: it is filled in
_FLAG_OF = {
    PixelBit.BAD: Flag.BAD_PIXEL,
    PixelBit.SATURATED: Flag.SATURATED,
    PixelBit.COSMIC: Flag.COSMIC_RAY,
    PixelBit.TRAIL: Flag.TRAIL,
    PixelBit.NONLINEAR: Flag.NONLINEAR,
}
_FLAGS = np.array([sum(int(f) for b, f in _FLAG_OF.items() if bits & b) for bits in range(256)], np.int32)


@contextmanager
def filled_in(
    image: NDArray[np.float32], masked: Mask, bits: int = ANY_BIT, where: Places | None = None
) -> Iterator[None]:
    """Masked pixels are IN PLACE what their eight neighbours say until it is done, and as before then.

    A pixel alone among good ones takes the value of the surface through its neighbours that is quadratic in x and in
    y, ``(2 * sides - corners) / 4``: in a star's core (FWHM 3 px) that is 7 % low where a plain mean is 40 % low.
    Otherwise it takes the mean of its good neighbours; with no good neighbour it becomes NaN, so that the sum over
    an aperture that needs it is NaN and never a guess.

    Args:
        image: float32[ny, nx], contiguous; a copy would take its memory again.
        masked: bool or uint8[ny, nx]; pixels with one of ``bits`` are not to be believed.
        where: int64[n], their flat indices; found where not given.
    """
    flat, where = image.reshape(-1), marked_places(masked, bits) if where is None else where
    kept = flat[where]
    flat[where] = from_neighbours(image, masked, where, bits)
    try:
        yield
    finally:
        flat[where] = kept


def fill_holes(image: NDArray[np.float32], masked: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Replace masked pixels as `filled_in` does, from their rim inwards; what lies deep in a hole becomes 0.

    For finding stars, not for measuring them: a column of bad pixels or a cluster of hot ones then cuts no star.

    Args:
        image: float32[ny, nx], sky subtracted.
        masked: bool[ny, nx].

    Returns:
        float32[ny, nx], a copy.
    """
    filled = image.copy()
    fill_holes_within(filled, masked.copy(), marked_places(masked))
    return filled


def fill_holes_within(filled: NDArray[np.float32], masked: NDArray[np.bool_], where: Places) -> None:
    """`fill_holes` IN PLACE, of an image and a mask that are contiguous; the mask is another one meanwhile.

    where: int64[n], flat indices of the masked pixels.
    """
    values, unknown, left = filled.reshape(-1), masked.reshape(-1), where
    for _ in range(HOLE_ROUNDS):
        found = from_neighbours(filled, masked, left)
        known = np.isfinite(found)
        values[left[known]] = found[known]
        unknown[left[known]] = False
        left = left[~known]
        if not left.size:
            break
    values[left] = 0.0
    unknown[where] = True


def flags_of(bits: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Bits of `pipeline.flags.Flag` for bits of pixels, an array of the same shape."""
    return _FLAGS[bits]


def pixel_table(bits: NDArray[np.uint8]) -> NDArray[Any]:
    """Pixels with any bit of uint8[ny, nx] as PIXEL_DTYPE[n]: a few thousand rows instead of a second image."""
    index = marked_places(bits)
    table = np.empty(index.size, PIXEL_DTYPE)
    table["index"], table["bits"] = index, bits.ravel()[index]
    return table


def within(table: NDArray[Any], pixels: int) -> NDArray[Any]:
    """Rows of PIXEL_DTYPE[n] that are of an image of so many pixels."""
    inside = (table["index"] >= 0) & (table["index"] < pixels)
    return table if inside.all() else table[inside]


def with_bit(table: NDArray[Any], bit: PixelBit) -> NDArray[np.int32]:
    """Flat indices of the pixels of PIXEL_DTYPE[n] that have a bit."""
    return np.asarray(table["index"][(table["bits"] & np.uint8(bit)) > 0])


def pixel_bits(table: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The inverse of `pixel_table`: uint8[ny, nx]; rows beyond the image are left out."""
    bits = np.zeros(shape, np.uint8)
    table = within(table, bits.size)
    bits.ravel()[table["index"]] = table["bits"]
    return bits
