"""The sky in boxes, by SExtractor's mode (Bertin & Arnouts 1996, A&AS 117, 393), and an image without it."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import SIZE, Kernel, array

LEVELS = 512  # of a box's histogram; as in the source
REACH = 5.0  # sigma to each side of the mean, in the histogram
FIRST_CLIP, CLIP = 2.0, 3.0  # sigma
SKEWED = 0.3  # sigma from mean to median, beyond which a box is crowded: then the median is taken
SETTLED = 1e-4  # of sigma, between rounds of clipping
GOOD_SHARE = 0.5  # of a box's pixels that must be finite

FLOATS, DOUBLES = array(np.float32), array(np.float64)
_BOX_LEVELS = Kernel("box_levels", FLOATS, SIZE, SIZE, SIZE, SIZE, FLOATS)
_SUBTRACT_SPLINE = Kernel(
    "subtract_spline", FLOATS, SIZE, SIZE, DOUBLES, DOUBLES, SIZE, SIZE, SIZE, SIZE, DOUBLES, DOUBLES
)

Floats = NDArray[np.float32]


def box_levels(image: Floats, box: tuple[int, int]) -> Floats:
    """Mode of the sky in boxes: 2.5 medians − 1.5 means of what is left after clipping.

    image: float32[ny, nx], contiguous, what is not finite does not count; box: rows and columns of one, the last may be
    narrower. Returns float32[rows of boxes, columns of boxes], NaN where less than half of a box counts.
    """
    levels = np.empty(_boxes(image, box), np.float32)
    _BOX_LEVELS(image, *image.shape, *box, levels)
    return levels


def subtract_spline(image: Floats, mesh: NDArray[np.float64], box: tuple[int, int]) -> None:
    """Subtract IN PLACE the natural bicubic spline through values at the middles of boxes.

    image: float32[ny, nx], contiguous; mesh: float64[rows of boxes, columns of boxes], finite; box: rows and columns
    of one. Beyond the outermost middles the outermost pieces go on.
    """
    mesh = np.ascontiguousarray(mesh, np.float64)
    rows, columns = mesh.shape
    curvature = _curvature(mesh)
    ratio = np.zeros(columns)
    for place in range(1, columns - 1):
        ratio[place] = 1 / (4 - ratio[place - 1])
    _SUBTRACT_SPLINE(image, *image.shape, mesh, curvature, rows, columns, *box, ratio, np.empty((2, columns)))


def box_levels_reference(image: Floats, box: tuple[int, int]) -> Floats:
    """`box_levels` by NumPy."""
    levels = np.empty(_boxes(image, box), np.float32)
    for y, x in np.ndindex(levels.shape):
        pixels = image[y * box[0] : (y + 1) * box[0], x * box[1] : (x + 1) * box[1]]
        levels[y, x] = _level_of(pixels.ravel())
    return levels


def _level_of(pixels: Floats) -> float:
    values = pixels[np.isfinite(pixels)].astype(np.float64)
    if not values.size or values.size < GOOD_SHARE * pixels.size:
        return np.nan
    near = values[np.abs(values - values.mean()) <= FIRST_CLIP * values.std()]
    mean, sigma = near.mean(), near.std()
    if not sigma > 0:
        return float(mean)
    zero, per_level = np.float32(mean - REACH * sigma), np.float32(LEVELS / (2 * REACH * sigma))
    place = (values.astype(np.float32) - zero) * per_level + np.float32(0.5)
    level = place[(place >= 0) & (place < LEVELS)].astype(np.int64)
    low, high, median, scatter, before = 0, LEVELS - 1, 0.0, 10.0 * LEVELS, 1.0
    while scatter >= 0.1 and abs(scatter / before - 1) > SETTLED:
        kept = np.sort(level[(level >= low) & (level <= high)])
        middle = kept[(kept.size - 1) // 2]
        share = (kept.size / 2 - np.count_nonzero(kept < middle)) / np.count_nonzero(kept == middle)
        before, scatter, median = scatter, float(kept.std()), float(middle - 0.5 + share)
        low = int(max(median - CLIP * scatter, 0) + 0.5)
        high = int(min(median + CLIP * scatter, LEVELS - 1) + 0.5)
    mean = float(kept.mean())
    mode = 2.5 * median - 1.5 * mean if abs(mean - median) < SKEWED * scatter else median
    return float(zero + mode / per_level)


def subtract_spline_reference(image: Floats, mesh: NDArray[np.float64], box: tuple[int, int]) -> None:
    """`subtract_spline` by NumPy."""
    along_y = _spline(np.asarray(mesh, np.float64), image.shape[0], box[0])
    image -= _spline(along_y.T, image.shape[1], box[1]).T.astype(np.float32)


def _spline(knots: NDArray[np.float64], pixels: int, side: int) -> NDArray[np.float64]:
    """The natural spline through each column of knots, at the pixels of boxes of this side."""
    place = (np.arange(pixels) + 0.5) / side - 0.5
    before = np.clip(np.floor(place).astype(np.intp), 0, max(len(knots) - 2, 0))
    behind = np.minimum(before + 1, len(knots) - 1)
    t = (place - before)[:, None] if len(knots) > 1 else np.zeros((pixels, 1))
    s, curvature = 1 - t, _curvature(knots)
    bent = (s**3 - s) * curvature[before] + (t**3 - t) * curvature[behind]
    return np.asarray(s * knots[before] + t * knots[behind] + bent / 6)


def _curvature(knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Second derivatives along the first axis of the natural spline through float64[n, m], a knot apart."""
    curvature = np.zeros_like(knots)
    inner = max(len(knots) - 2, 0)
    matrix = 4 * np.eye(inner) + np.eye(inner, k=1) + np.eye(inner, k=-1)
    curvature[1 : 1 + inner] = np.linalg.solve(matrix, 6 * np.diff(knots, 2, axis=0))
    return curvature


def _boxes(image: Floats, box: tuple[int, int]) -> tuple[int, int]:
    return -(-image.shape[0] // box[0]), -(-image.shape[1] // box[1])
