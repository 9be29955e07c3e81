"""Units in one another and angles within a turn: numbers that are the same everywhere."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Angle = TypeVar("Angle", float, NDArray[np.float64])

ARCSEC = 3600.0  # in a degree
HOUR_DEG = 15.0
HOURS_PER_DAY = 24.0
MINUTES_PER_DAY = 1440.0
SECONDS_PER_DAY = 86400.0
MAG_PER_LN = 2.5 / np.log(10.0)  # magnitudes in a natural logarithm of flux, or in a small relative one


def positive_angle(degrees: Angle) -> Angle:
    """The same angle from 0 up to, and without, 360."""
    return degrees % 360.0 % 360.0  # the remainder of a tiny negative angle rounds to 360 itself


def signed_angle(degrees: Angle) -> Angle:
    """The same angle from −180 up to, and without, 180."""
    return (degrees + 180.0) % 360.0 - 180.0
