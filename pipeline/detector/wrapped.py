"""Counts above 32767 that a writer without BZERO has stored as negative ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_ADU = -2000  # no bias level's noise, and no pedestal, is lower
FULL = 65536  # numbers that 16 bits have
BLANK = -32768  # a value that stands for none
SAMPLE = 8  # of each axis one pixel in so many tells whether the frame as a whole is negative


def unwrapped(counts: NDArray[Any]) -> NDArray[Any] | None:
    """The counts with what has wrapped put right; None where nothing has.

    counts: int16[ny, nx], others are left alone. A frame that is negative as a whole is no wrapped one: its zero point
    was shifted, and bias frames of the camera are so too. Small negative values, of noise around zero, stay.
    Returns int32[ny, nx].
    """
    if counts.dtype.kind != "i" or counts.dtype.itemsize != 2 or not counts.size:
        return None
    if counts.min() >= LEAST_ADU or np.median(counts[::SAMPLE, ::SAMPLE]) < LEAST_ADU:
        return None
    negative = counts[counts < LEAST_ADU]
    if (negative == BLANK).all():
        return None
    return np.where(counts < LEAST_ADU, counts.astype(np.int32) + FULL, counts)
