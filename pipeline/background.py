"""The sky: its level, its noise, and an image without it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.binning import binned_sums, subtract_enlarged
from pipeline.errors import UnusableDataError

BOX_PIXELS = 64  # side of a background box: many stars wide, narrower than gradients of sky and flat
FILTER_BOXES = 3  # side of the median filter over boxes: takes out one box spoilt by a bright star
# Pixels that are averaged before the level is sought. The wings of stars stand out against an average's lesser noise
# and are clipped: with 1,500 stars of FWHM 4 px on 1024² pixels the sky is 0.8 instead of 1.8 ADU too high (noise of a
# pixel 27), its scatter is 0.84 instead of 0.97 ADU; and it takes a fifth of the time.
BIN = 4
NOISE_PIXELS = 1 << 18  # so many, in rows apart, tell the noise of a pixel
NOISE_STEP = 13  # rows, at most; odd, for detectors whose even rows are unlike the odd ones


@dataclass(frozen=True)
class Background:
    """Median sky level and noise of one sky pixel, both in the image's units."""

    level: float
    rms: float


def subtract_background(
    image: NDArray[Any], *, box: int = BOX_PIXELS, filter_size: int = FILTER_BOXES
) -> tuple[NDArray[np.float32], Background]:
    """Subtract the sky, estimated in boxes by SExtractor's mode (Barbary 2016, sep) from means of 4×4 pixels.

    image: real[ny, nx], masked pixels NaN. A contiguous native float32 image is changed IN PLACE and returned (a copy
    of 2048² pixels would cost 2 ms); any other is copied. box: pixels; filter_size: boxes.
    Returns the image without sky, float32[ny, nx], and its Background.
    Raises UnusableDataError when no pixel is finite or the sky cannot be estimated.
    """
    work = np.ascontiguousarray(image, dtype=np.float32)
    size = max(1, min(BIN, *work.shape))
    coarse = binned_sums(work, size)
    coarse /= np.float32(size**2)
    sky = _estimate(coarse, (max(1, box // size), max(1, box // size)), filter_size)
    subtract_enlarged(work, sky.back(), size)
    step = min(NOISE_STEP, max(1, work.size // NOISE_PIXELS))
    noise = _estimate(np.ascontiguousarray(work[::step]), (max(1, box // step), box), filter_size)
    return work, Background(level=float(sky.globalback), rms=float(noise.globalrms))


def _estimate(image: NDArray[np.float32], box: tuple[int, int], filter_size: int) -> Any:
    """sep's Background of a contiguous image; box: rows and columns."""
    mask = ~np.isfinite(image)
    masked = bool(mask.any())
    if masked and mask.all():
        raise UnusableDataError(
            "no finite pixel in the image, or too few side by side, expected sky: check the masters and the frame"
        )
    height, width = np.minimum(box, image.shape).tolist()
    try:
        return sep.Background(image, mask=mask if masked else None, bw=width, bh=height, fw=filter_size, fh=filter_size)
    except Exception as error:  # sep raises bare Exception
        raise UnusableDataError(
            f"the sky of an image of shape {image.shape} cannot be estimated ({error}): leave it out"
        ) from error
