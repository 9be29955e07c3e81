"""Which flats are lit well enough, and not too well: limits of their level that go with the range of the camera."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIXTEEN_BITS = 65_535.0  # ADU
FLAT_LIMITS_ADU = (5_000.0, 50_000.0)  # above the bias, of a camera of 16 bits; of others as large a share
CONVERTERS = (4_095.0, 16_383.0, SIXTEEN_BITS)  # ADU, their tops
LARGEST_STEP = 16  # of 12 bits in 16
SAMPLE_STEP = 61  # pixels between those that tell whether all are whole numbers

Limits = tuple[float, float]


def full_scale(raw: NDArray[Any], saturation: float | None = None) -> float | None:
    """Top of a camera's range as one flat tells it, ADU; None of pixels that are no counts: a scaled or averaged flat.

    raw: real[ny, nx] as read out; saturation: ADU, where it is told. Without it the range is that of the smallest usual
    converter that holds all pixels, or their highest value where none does. Counts that come in steps of 4 or 16 are
    those of 14 or 12 bits that fill 16.
    """
    if not are_counts(raw):
        return None
    if saturation is not None:
        return min(saturation, SIXTEEN_BITS) if raw.dtype.itemsize <= 2 else saturation
    highest, step = float(np.nanmax(raw)), _step(raw)
    if step > 1 and highest <= SIXTEEN_BITS:
        return SIXTEEN_BITS + 1.0 - step
    return next((top for top in CONVERTERS if highest <= top), highest)


def _step(raw: NDArray[Any]) -> int:
    """ADU from one possible count to the next: 1, or a power of two up to 16."""
    some = raw.ravel()[::SAMPLE_STEP]
    some = some[np.isfinite(some)].astype(np.int64)
    return int(np.gcd.reduce([*np.unique(some), LARGEST_STEP])) if np.ptp(some) > 0 else 1


def are_counts(raw: NDArray[Any]) -> bool:
    """Whether the pixels are whole numbers, whatever type the file keeps them in."""
    if np.issubdtype(raw.dtype, np.integer):
        return True
    some = raw.ravel()[::SAMPLE_STEP]
    some = some[np.isfinite(some)]
    return bool(some.size and (some == np.round(some)).all() and np.ptp(some) > 1)


def flat_limits(top: float, *, is_told: bool) -> Limits:
    """Least and greatest level above the bias (ADU) of flats of a camera with this full scale (ADU).

    Where it is told, both are shares of it. Where the flats alone show it they may be faint ones of a camera with a
    larger range: the lower limit goes with what they show, the upper one with 16 bits.
    """
    low, high = (limit / SIXTEEN_BITS for limit in FLAT_LIMITS_ADU)
    if is_told:
        return low * top, high * top
    return low * min(top, SIXTEEN_BITS), high * SIXTEEN_BITS if top <= SIXTEEN_BITS else np.inf
