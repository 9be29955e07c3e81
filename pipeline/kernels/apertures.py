"""What lies in circles around sources: sums, and what is known against their pixels."""

from typing import Any, TypeVar

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.kernels.library import DOUBLE, SIZE, Kernel, array

_BYTES, _FLOATS, _DOUBLES, _WHOLE = (array(dtype) for dtype in (np.uint8, np.float32, np.float64, np.int64))
_CIRCLE_SUMS = Kernel(
    "circle_sums", _FLOATS, SIZE, SIZE, _DOUBLES, SIZE, _DOUBLES, SIZE, _BYTES, SIZE, _DOUBLES, _DOUBLES
)
_TOUCHED_BITS = Kernel("touched_bits", _BYTES, SIZE, SIZE, _DOUBLES, SIZE, _DOUBLES, SIZE, DOUBLE, _BYTES)
_DISC_SUMS = Kernel(
    "disc_sums",
    *(_FLOATS, SIZE, SIZE, _FLOATS, SIZE, SIZE, _WHOLE, _WHOLE, SIZE, _WHOLE, SIZE, SIZE),
    *(_DOUBLES, _DOUBLES, _WHOLE),
)

Floats = NDArray[np.float64]
Some = TypeVar("Some", bound=np.generic)


def _by_row(rows: NDArray[Any]) -> NDArray[np.intp]:
    """The order of places by their rows: what is near in memory comes together, and is in the processor's cache."""
    return np.argsort(rows, kind="stable")


def _back(values: NDArray[Some], order: NDArray[np.intp]) -> NDArray[Some]:
    """What was found in another order."""
    result = np.empty_like(values)
    result[order] = values
    return result


def circle_sums(image: NDArray[np.float32], xy: Floats, radii: tuple[float, ...], inside: NDArray[np.bool_]) -> Floats:
    """Sums over circles, of each pixel the part that lies in it: float64[n, k], NaN where they are not asked for.

    image: float32[ny, nx], contiguous; xy: float64[n, 2], px; radii: k, px; inside: bool[n, k], which are asked for:
    they lie inside the image. A pixel without a value makes a sum NaN if a part of it lies in the circle.
    """
    sums, size, order = np.full(inside.shape, np.nan), 2 * int(np.ceil(max(radii))) + 3, _by_row(xy[:, 1])
    circles = xy[order], len(xy), np.asarray(radii, np.float64), len(radii), inside[order].view(np.uint8)
    _CIRCLE_SUMS(image, *image.shape, *circles, size, np.empty((6, size + 1)), sums)
    return _back(sums, order)


def circle_sums_reference(
    image: NDArray[np.float32], xy: Floats, radii: tuple[float, ...], inside: NDArray[np.bool_]
) -> Floats:
    """`circle_sums` by sep."""
    sums, (source, aperture) = np.full(inside.shape, np.nan), np.nonzero(inside)
    x, y = xy[source].T
    sums[inside], _, _ = sep.sum_circle(image, x, y, np.asarray(radii)[aperture], subpix=0)
    return sums


def touched_bits(bits: NDArray[np.uint8], xy: Floats, radii: tuple[float, ...]) -> NDArray[np.uint8]:
    """All bits of the pixels of which at least a part lies in each circle: uint8[n, k].

    bits: uint8[ny, nx], contiguous; xy: float64[n, 2], finite, px; radii: k, px.
    """
    touched, order = np.zeros((len(xy), len(radii)), np.uint8), _by_row(xy[:, 1])
    circles = xy[order], len(xy), np.asarray(radii, np.float64), len(radii), max(radii)
    _TOUCHED_BITS(bits, *bits.shape, *circles, touched)
    return _back(touched, order)


def touched_bits_reference(bits: NDArray[np.uint8], xy: Floats, radii: tuple[float, ...]) -> NDArray[np.uint8]:
    """`touched_bits` by NumPy."""
    y, x = np.nonzero(bits)
    away = [np.maximum(np.abs(place[:, None] - axis) - 0.5, 0.0) for place, axis in zip(xy.T, (x, y), strict=True)]
    near = np.hypot(*away)[:, None, :] < np.asarray(radii)[:, None]
    return np.asarray(np.bitwise_or.reduce(np.where(near, bits[y, x], np.uint8(0)), axis=2, initial=0), np.uint8)


def disc_sums(
    images: tuple[NDArray[np.float32], NDArray[np.float32]],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    offsets: NDArray[np.int64],
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Sums of whole pixels around the same sources on two images, of those that have a value on both; and how many.

    images: float32[ny, nx], contiguous; places: int64[n, 2], (row, column), on either; offsets: int64[m, 2], from
    there. A source of which a pixel leaves an image has none.
    """
    first, second = images
    number = len(places[0])
    found, shown, seen = np.empty(number), np.empty(number), np.empty(number, np.int64)
    order = _by_row(places[0][:, 0])
    where = *(each[order] for each in places), number, np.ascontiguousarray(offsets), len(offsets)
    _DISC_SUMS(first, *first.shape, second, *second.shape, *where, int(np.abs(offsets).max()), found, shown, seen)
    return _back(found, order), _back(shown, order), _back(seen, order)


def disc_sums_reference(
    images: tuple[NDArray[np.float32], NDArray[np.float32]],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    offsets: NDArray[np.int64],
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """`disc_sums` by NumPy."""
    values = []
    for image, middles in zip(images, places, strict=True):
        pixels = middles[:, None, :] + offsets
        whole = np.all((pixels >= 0) & (pixels < image.shape), axis=(1, 2))
        y, x = np.moveaxis(np.where(whole[:, None, None], pixels, 0), -1, 0)
        values.append(np.where(whole[:, None], image[y, x], np.float32(np.nan)))
    seen = np.isfinite(values[0]) & np.isfinite(values[1])
    found, shown = (np.where(seen, each, 0).sum(axis=1, dtype=np.float64) for each in values)
    return found, shown, seen.sum(axis=1)
