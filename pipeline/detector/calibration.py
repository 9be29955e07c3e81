"""From raw counts to a calibrated image: (raw − bias − dark·exposure) / flat."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SaturatedFrameError, UnusableDataError
from pipeline.kernels.calibrated_pixels import calibrated_pixels
from pipeline.kernels.places import Places, places_reaching
from pipeline.rows import Rows

ROWS_AT_ONCE = 32  # of a frame: each pixel is read once, and what comes between stays in the processor's cache
MAXIMUM_SATURATED_FRACTION = 0.5  # of the pixels; more is twilight, a lamp or an open dome
SATURATION_MINIMUM_PIXELS = 5  # pixels that share the very highest value: noise does not do that, a full well does
SATURATION_MINIMUM_RANGE = 255  # ADU; no converter saturates within fewer levels
SATURATION_NEIGHBOURHOOD = 0.01  # of the range; the pile-up must outnumber the pixels this close below it


def calibrate(
    raw: NDArray[Any],
    *,
    pedestal: NDArray[np.float32] | None = None,
    factor: NDArray[np.float32] | None = None,
    bias: Rows | None = None,
    dark: Rows | None = None,
    exposure: float = 0.0,
    flat: Rows | None = None,
    saturation: float | None = None,
) -> tuple[NDArray[np.float32], Places | None]:
    """Calibrated image and the saturated pixels (Tianyu paper, eq. 1, before the sky is taken off).

    raw: real[ny, nx], ADU; pedestal: real[ny or 1, nx or 1], ADU, level of the overscan, taken off first; factor:
    real[ny, nx], of amplifiers of unlike gain; bias: real[ny, nx], ADU; dark: real[ny, nx], ADU/s, bias already
    subtracted; exposure: s; flat: real[ny, nx] of mean 1, NaN where unusable; saturation: raw ADU at and above which a
    pixel is full. Returns float32[ny, nx] in ADU, NaN where the flat is not positive, and flat indices int64[n], None
    without saturation.
    Raises UnusableDataError for unlike shapes, no finite or only one pixel value, or a saturated frame.
    """
    for name, master in (("bias", bias), ("dark", dark), ("flat", flat)):
        if master is not None and master.shape != raw.shape:
            raise UnusableDataError(
                f"{name} has shape {master.shape}, the frame {raw.shape}: use masters of the frame's binning and window"
            )
    saturated = require_exposed(raw, saturation)
    image = np.empty(raw.shape, np.float32)
    for start in range(0, raw.shape[0], ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        counts = raw[rows]
        if pedestal is not None:
            counts = np.subtract(counts, _rows_of(pedestal, rows), dtype=np.float32)
        if factor is not None:
            counts = np.multiply(counts, _rows_of(factor, rows), dtype=np.float32)
        of_bias, of_dark, of_flat = (None if master is None else master[rows] for master in (bias, dark, flat))
        calibrated_pixels(counts, of_bias, of_dark, exposure, of_flat, out=image[rows])
    return image, saturated


def require_exposed(raw: NDArray[Any], saturation: float | None = None) -> Places | None:
    """Flat indices, int64[n], of the saturated pixels of a frame that can be calibrated; None without a level (ADU).

    Raises UnusableDataError for a frame, real[ny, nx], without two axes, without a finite or with one pixel value only,
    or saturated.
    """
    if raw.ndim != 2:
        raise UnusableDataError(f"the frame has shape {raw.shape}, expected two axes (y, x): split cubes into images")
    _check_contents(raw)
    saturated = None if saturation is None else places_reaching(raw, saturation)
    if saturated is not None:
        fraction = saturated.size / raw.size
        if fraction > MAXIMUM_SATURATED_FRACTION:
            raise SaturatedFrameError(
                f"{fraction:.0%} of the pixels are at or above the saturation level {saturation} ADU, expected at most "
                f"{MAXIMUM_SATURATED_FRACTION:.0%}: leave the frame out, or correct the level"
            )
    return saturated


def _rows_of(array: NDArray[Any], rows: slice) -> NDArray[Any]:
    """Some rows of an array, of which one may stand for all."""
    return array if array.shape[0] == 1 else array[rows]


def _lowest(image: NDArray[Any]) -> Any:
    """Least value that is no NaN; the plain minimum is five times quicker and mostly enough."""
    lowest = image.min()
    return np.fmin.reduce(image, axis=None) if np.isnan(lowest) else lowest


def _highest(image: NDArray[Any]) -> Any:
    highest = image.max()
    return np.fmax.reduce(image, axis=None) if np.isnan(highest) else highest


def _check_contents(raw: NDArray[Any]) -> None:
    low, high = _lowest(raw), _highest(raw)
    if np.isnan(low) or not np.isfinite([low, high]).any():
        raise UnusableDataError("no pixel of the frame is finite: read-out or file is broken, leave the frame out")
    if low == high:
        raise UnusableDataError(
            f"every pixel of the frame is {low}, expected sky and noise: the shutter, read-out or file failed, "
            "leave the frame out"
        )


def guess_saturation(raw: NDArray[Any]) -> float | None:
    """Level in ADU at which the pixels of a raw frame pile up, or None when nothing in it is full.

    raw: integer[ny, nx]. A full well or converter gives many pixels exactly the highest value, more than have the
    values just below it. A guess for cameras whose level nobody gave: the lowest guess of a night's frames is safe.
    """
    if not np.issubdtype(raw.dtype, np.integer):
        return None  # averaged or calibrated data have no exact ceiling
    highest, lowest = int(raw.max()), int(raw.min())
    if highest - lowest < SATURATION_MINIMUM_RANGE:
        return None
    full = int(np.count_nonzero(raw == highest))
    if full < SATURATION_MINIMUM_PIXELS:
        return None
    near = places_reaching(raw, highest - SATURATION_NEIGHBOURHOOD * (highest - lowest)).size - full
    return float(highest) if full > near else None
