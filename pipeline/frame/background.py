"""The sky: its level, its noise, and an image without it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.kernels.binning import binned_sums, subtract_enlarged

BOX_PIXELS = 64  # side of a background box: many stars wide, narrower than gradients of sky and flat
FILTER_BOXES = 3  # side of the median filter over boxes: takes out one box spoilt by a bright star
# Pixels of a single frame that are averaged before its sky is sought: the wings of stars stand out against an average's
# lesser noise and are clipped. With 5,000 stars of FWHM 4 px on 1024² pixels the sky is 4.2 instead of 6.3 ADU too high
# (noise of a pixel 27) and scatters by 1.0 instead of 1.1 ADU; and it takes half of the time. Means of 4×4 do still
# better on such frames, but are lost on deep ones, where stars reach nearly all of them; so are means of 2×2 on stacks.
FRAME_BIN = 2
NOISE_PIXELS = 1 << 18  # so many, in rows apart, tell the noise of a pixel
NOISE_STEP = 13  # rows, at most; odd, for detectors whose even rows are unlike the odd ones


@dataclass(frozen=True)
class Background:
    """Median sky level and noise of one sky pixel, both in the image's units."""

    level: float
    rms: float


def subtract_background(
    image: NDArray[Any], *, box: int = BOX_PIXELS, filter_size: int = FILTER_BOXES, bin_size: int = 1
) -> tuple[NDArray[np.float32], Background]:
    """Subtract the sky, estimated in boxes by SExtractor's mode (Barbary 2016, sep).

    image: real[ny, nx], masked pixels NaN. A contiguous native float32 image is changed IN PLACE and returned (a copy
    of 2048² pixels would cost 2 ms); any other is copied. box: pixels; filter_size: boxes; bin_size: pixels of a side
    that are averaged first, `FRAME_BIN` for single frames.
    Returns the image without sky, float32[ny, nx], and its Background.
    Raises UnusableDataError when no pixel is finite or the sky cannot be estimated.
    """
    work = np.ascontiguousarray(image, dtype=np.float32)
    size = max(1, min(bin_size, *work.shape))
    if size == 1:
        sky = _estimate(work, (box, box), filter_size)
        sky.subfrom(work)
    else:
        coarse = binned_sums(work, size)
        coarse /= np.float32(size**2)
        sky = _estimate(coarse, (max(1, box // size), max(1, box // size)), filter_size)
        subtract_enlarged(work, sky.back(), size)
    step = min(NOISE_STEP, max(1, work.size // NOISE_PIXELS))
    noise = _estimate(np.ascontiguousarray(work[::step]), (max(1, box // step), box), filter_size)
    return work, Background(level=float(sky.globalback), rms=float(noise.globalrms))


def _estimate(image: NDArray[np.float32], box: tuple[int, int], filter_size: int) -> Any:
    """sep's Background of a contiguous image; box: rows and columns, at least."""
    mask = ~np.isfinite(image)
    masked = bool(mask.any())
    if masked and mask.all():
        raise UnusableDataError(
            "no finite pixel in the image, or too few side by side, expected sky: check the masters and the frame"
        )
    height, width = (_box(side, wanted) for side, wanted in zip(image.shape, box, strict=True))
    try:
        return sep.Background(image, mask=mask if masked else None, bw=width, bh=height, fw=filter_size, fh=filter_size)
    except Exception as error:  # sep raises bare Exception
        raise UnusableDataError(
            f"the sky of an image of shape {image.shape} cannot be estimated ({error}): leave it out"
        ) from error


def _box(side: int, wanted: int) -> int:
    """Side of the boxes that divide a side of the image evenly.

    A narrow box at the end would be noisy. In windows of 120 rows, with a second row of 56, the largest apertures (FWHM
    12 px) scattered by 1.10 of their quoted errors; with one row of boxes it is 0.99.
    """
    return -(-side // max(1, side // wanted))
