"""The sky: its level, its noise, and an image without it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError

BOX_PIXELS = 64  # side of a background box: many stars wide, narrower than gradients of sky and flat
FILTER_BOXES = 3  # side of the median filter over boxes: takes out one box spoilt by a bright star


@dataclass(frozen=True)
class Background:
    """Median sky level and noise of one sky pixel, both in the image's units."""

    level: float
    rms: float


def subtract_background(
    image: NDArray[Any], *, box: int = BOX_PIXELS, filter_size: int = FILTER_BOXES
) -> tuple[NDArray[np.float32], Background]:
    """Subtract the sky, estimated in boxes by SExtractor's mode (Barbary 2016, sep).

    image: real[ny, nx], masked pixels NaN. A contiguous native float32 image is changed IN PLACE and returned (a copy
    of 2048² pixels would cost 2 ms); any other is copied. box: pixels; filter_size: boxes.
    Returns the image without sky, float32[ny, nx], and its Background.
    Raises UnusableDataError when no pixel is finite or the sky cannot be estimated.
    """
    work = np.ascontiguousarray(image, dtype=np.float32)
    mask = ~np.isfinite(work)
    masked = bool(mask.any())
    if masked and mask.all():
        raise UnusableDataError("no finite pixel in the image, expected sky: check the masters and the frame")
    height, width = min(box, work.shape[0]), min(box, work.shape[1])
    try:
        sky = sep.Background(work, mask=mask if masked else None, bw=width, bh=height, fw=filter_size, fh=filter_size)
    except Exception as error:  # sep raises bare Exception
        raise UnusableDataError(
            f"the sky of an image of shape {work.shape} cannot be estimated ({error}): leave it out"
        ) from error
    sky.subfrom(work)
    return work, Background(level=float(sky.globalback), rms=float(sky.globalrms))
