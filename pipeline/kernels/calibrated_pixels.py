"""The detector taken out of pixels, in one pass."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import REAL, SIZE, Kernel, array, optional_array

Floats = NDArray[np.float32]

MASTER, FLOATS = optional_array(np.float32), array(np.float32)
_OF_UINT16 = Kernel("calibrated_of_uint16", array(np.uint16), SIZE, MASTER, MASTER, REAL, MASTER, FLOATS)
_OF_FLOAT32 = Kernel("calibrated_of_float32", FLOATS, SIZE, MASTER, MASTER, REAL, MASTER, FLOATS)


def calibrated_pixels(
    raw: NDArray[Any],
    bias: NDArray[Any] | None,
    dark: NDArray[Any] | None,
    exposure: float,
    flat: NDArray[Any] | None,
    out: Floats | None = None,
) -> Floats:
    """(raw − bias − dark·exposure) / flat, float32 as raw; NaN where the flat is not positive.

    raw: real[ny, nx]; masters: real[ny, nx] or None; exposure: s, of a dark in ADU/s; out: contiguous, for the result.
    All is done in float32.
    """
    image = np.empty(raw.shape, np.float32) if out is None else out
    bias, dark, flat = (None if one is None else np.ascontiguousarray(one, np.float32) for one in (bias, dark, flat))
    if raw.dtype == np.uint16:
        _OF_UINT16(np.ascontiguousarray(raw, np.uint16), raw.size, bias, dark, exposure, flat, image)
    else:
        _OF_FLOAT32(np.ascontiguousarray(raw, np.float32), raw.size, bias, dark, exposure, flat, image)
    return image


def calibrated_pixels_reference(
    raw: NDArray[Any], bias: NDArray[Any] | None, dark: NDArray[Any] | None, exposure: float, flat: NDArray[Any] | None
) -> Floats:
    """`calibrated_pixels` by NumPy."""
    image = raw.astype(np.float32)
    if bias is not None:
        image -= bias.astype(np.float32)
    if dark is not None:
        image -= dark.astype(np.float32) * np.float32(exposure)
    if flat is not None:
        image /= np.where(flat > 0, flat, np.nan).astype(np.float32)
    return image
