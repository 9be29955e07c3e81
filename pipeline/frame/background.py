"""The sky: its level, its noise, and an image without it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.kernels.binning import binned_sums
from pipeline.kernels.sky_mesh import box_levels, subtract_spline
from pipeline.statistics import row_median

BOX_PIXELS = 64  # side of a background box: many stars wide, narrower than gradients of sky and flat
# Pixels of a single frame that are averaged before its sky is sought: the wings of stars stand out against an average's
# lesser noise and are clipped. With 5,000 stars of FWHM 4 px on 1024² pixels the sky is 4.2 instead of 6.3 ADU too high
# (noise of a pixel 27) and scatters by 1.0 instead of 1.1 ADU; and it takes half of the time. Means of 4×4 do still
# better on such frames, but are lost on deep ones, where stars reach nearly all of them; so are means of 2×2 on stacks.
FRAME_BIN = 2
NOISE_PIXELS = 1 << 18  # so many, in rows apart, tell the noise of a pixel
NOISE_STEP = 13  # rows, at most; odd, for detectors whose even rows are unlike the odd ones


FEWEST_BOXES = 3  # of a side, to tell a slope of the sky at its ends
NO_SKY = "no finite pixel in the image, or too few side by side, expected sky: check the masters and the frame"


@dataclass(frozen=True)
class Background:
    """Median sky level and noise of one sky pixel, both in the image's units."""

    level: float
    rms: float


def subtract_background(
    image: NDArray[Any], *, box: int = BOX_PIXELS, bin_size: int = 1
) -> tuple[NDArray[np.float32], Background]:
    """Subtract the sky, estimated in boxes by SExtractor's mode and smooth in between (`pipeline.kernels.sky_mesh`).

    image: real[ny, nx], masked pixels NaN. A contiguous native float32 image is changed IN PLACE and returned (a copy
    of 2048² pixels would cost 2 ms); any other is copied. box: pixels; bin_size: pixels of a side that are averaged
    first, `FRAME_BIN` for single frames.
    Returns the image without sky, float32[ny, nx], and its Background.
    Raises UnusableDataError when no pixel is finite or the sky cannot be estimated.
    """
    work = np.ascontiguousarray(image, dtype=np.float32)
    size = max(1, min(bin_size, *work.shape))
    coarse = work if size == 1 else binned_sums(work, size)
    height, width = (_box(side, max(1, box // size)) for side in coarse.shape)
    levels = _smooth_levels(coarse, (height, width)) / size**2
    subtract_spline(work, levels, (height * size, width * size))
    return work, Background(level=float(np.median(levels)), rms=_noise(work, box))


def _smooth_levels(image: NDArray[np.float32], box: tuple[int, int]) -> NDArray[np.float64]:
    """Levels of the sky in boxes, medians of those around each: one that a bright star has spoilt does not count.

    Boxes of which most is masked have those of the nearest others.
    """
    levels = box_levels(image, box).astype(np.float64)
    known = np.isfinite(levels)
    if not known.any():
        raise UnusableDataError(NO_SKY)
    rows, columns = np.indices(levels.shape)
    for y, x in np.argwhere(~known):
        distance = np.where(known, np.hypot(rows - y, columns - x), np.inf)
        levels[y, x] = levels[known & (distance == distance.min())].mean()
    return _median_around(levels)


def _noise(image: NDArray[np.float32], box: int) -> float:
    """Of a pixel, by sep: median over boxes of some rows."""
    step = min(NOISE_STEP, max(1, image.size // NOISE_PIXELS))
    some = np.ascontiguousarray(image[::step])
    height, width = _box(some.shape[0], max(1, box // step)), _box(some.shape[1], box)
    mask = ~np.isfinite(some)
    try:
        noise = sep.Background(some, mask=mask if mask.any() else None, bw=width, bh=height)
    except Exception as error:  # sep raises bare Exception
        raise UnusableDataError(
            f"the noise of an image of shape {image.shape} cannot be estimated ({error}): leave it out"
        ) from error
    return float(noise.globalrms)


def _median_around(mesh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the 3×3 boxes about each; at a border of those beside it along the border, or a slope would bend there.

    A corner has none beside it, so that a bright star in it would stay: what row, column and both lead to counts with
    it. Of fewer than three rows or columns all boxes are taken, for few pixels tell of no slope.
    """
    padded = np.pad(mesh, 1, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).copy()
    if min(mesh.shape) >= FEWEST_BOXES:
        around[[0, -1], :, ::2] = around[:, [0, -1], :, ::2] = np.nan
        for down, right in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            from_corner, of_corner = mesh[::down, ::right], around[::down, ::right][0, 0]
            (_, beside, next_beside), (below, across, _), (next_below, *_) = from_corner[:3, :3]
            of_corner[0] = 2 * beside - next_beside, 2 * below - next_below, beside + below - across
    return row_median(around.reshape(mesh.size, -1)).reshape(mesh.shape)


def _box(side: int, wanted: int) -> int:
    """Side of the boxes that divide a side of the image evenly.

    A narrow box at the end would be noisy. In windows of 120 rows, with a second row of 56, the largest apertures (FWHM
    12 px) scattered by 1.10 of their quoted errors; with one row of boxes it is 0.99.
    """
    return -(-side // max(1, side // wanted))
