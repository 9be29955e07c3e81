"""Where an image has something that few of its pixels have, in a third of the time that numpy takes to find it."""

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import REAL, SIZE, Kernel, array, whole

ANY_BIT = 0xFF
_EXPECTED = 65536  # places, for which there is room at first

Places = NDArray[np.int64]
NOWHERE: Places = np.empty(0, np.int64)
_WHOLE = array(np.int64)
_MARKED = Kernel("marked_places", array(np.uint8), SIZE, whole(8), SIZE, _WHOLE, result=SIZE)
_REACHING_UINT16 = Kernel("reaching_uint16", array(np.uint16), whole(16), SIZE, SIZE, _WHOLE, result=SIZE)
_REACHING_FLOAT32 = Kernel("reaching_float32", array(np.float32), REAL, SIZE, SIZE, _WHOLE, result=SIZE)
_WITHOUT_VALUE = Kernel("nan_places", array(np.float32), SIZE, SIZE, _WHOLE, result=SIZE)


def marked_places(marks: NDArray[np.bool_] | NDArray[np.uint8], bits: int = ANY_BIT) -> Places:
    """Flat indices of the pixels of bool or uint8[ny, nx] that have one of these bits, ascending."""
    flat = np.ascontiguousarray(marks).reshape(-1).view(np.uint8)
    return _outgrowing(lambda most, place: _MARKED(flat, flat.size, bits, most, place))


def marked_places_reference(marks: NDArray[np.bool_] | NDArray[np.uint8], bits: int = ANY_BIT) -> Places:
    """`marked_places` by NumPy."""
    return np.flatnonzero(marks.view(np.uint8) & np.uint8(bits))


def nan_places(image: NDArray[np.float32]) -> Places:
    """Flat indices of the pixels of float32[ny, nx] that are NaN, ascending."""
    flat = np.ascontiguousarray(image).reshape(-1)
    return _outgrowing(lambda most, place: _WITHOUT_VALUE(flat, flat.size, most, place))


def nan_places_reference(image: NDArray[np.float32]) -> Places:
    """`nan_places` by NumPy."""
    return np.flatnonzero(np.isnan(image))


def places_reaching(values: NDArray[Any], level: float) -> Places:
    """Flat indices of the pixels of real[ny, nx] at and above a level, ascending."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype == np.uint16 and np.isfinite(level):
        least = ceil(level)
        if least > np.iinfo(np.uint16).max:
            return NOWHERE
        return _outgrowing(lambda most, place: _REACHING_UINT16(flat, max(least, 0), flat.size, most, place))
    if flat.dtype == np.float32:
        # The least float32 at or above the level: pixels compare with it as they do with the level itself.
        nearest = np.float32(level)
        lowest = nearest if float(nearest) >= level else np.nextafter(nearest, np.float32(np.inf))
        return _outgrowing(lambda most, place: _REACHING_FLOAT32(flat, lowest, flat.size, most, place))
    return places_reaching_reference(values, level)


def places_reaching_reference(values: NDArray[Any], level: float) -> Places:
    """`places_reaching` by NumPy."""
    return np.flatnonzero(values >= np.float64(level))


def _outgrowing(find: Any) -> Places:
    """What is found, once more where there was no room for all."""
    place = np.empty(_EXPECTED, np.int64)
    found = find(place.size, place)
    if found > place.size:
        place = np.empty(found, np.int64)
        find(found, place)
    return place[:found].copy()
