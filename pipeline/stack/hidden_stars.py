"""Stars beside far brighter ones, which a smoothed image does not show as stars of their own.

Smoothed enough to show faint stars, an image of narrow stars has too few pixels between a star and one 50 times as
bright for their blend to be told apart. A kernel that sums to zero (as that of DAOFIND, Stetson 1987, PASP 99, 191)
leaves a ditch around each.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.frame.extraction import extract, pixels_around
from pipeline.nearest import tree_of

Floats = NDArray[np.float64]
APART_FWHM = 1.0  # from every known star; nearer, a detection is a part of it
LEAST_APART = 2.5  # px: the flat top of a saturated star has several peaks
REACH_FWHM = 4.0  # from a brighter star; farther out nothing hides
LEAST_RATIO = 0.5  # of the other's peak: stars as bright as each other hide one another too
LEAST_FWHM = 1.8  # px, of the kernel
KERNEL_REACH_FWHM = 1.0  # with 1.5 a star 100 times as bright 3 FWHM away draws centroids off by 0.27 FWHM, so by 0.12
MOST_BRIGHTER = 1  # of the 8 pixels about a peak, on the side of the brighter star
LEAST_AREA = 3  # pixels of a core above its ditch


def add_hidden(
    objects: NDArray[Any],
    image: NDArray[np.float32],
    threshold: float,
    fwhm: float,
    *,
    noise: float | NDArray[np.float32],
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Detections of `pipeline.frame.extraction.extract` and, behind them, of the stars that these hide.

    fwhm: of stars, px; the other arguments are those of `extract`.
    """
    kernel = ditch_kernel(max(fwhm, LEAST_FWHM))
    found = extract(image, threshold, noise=noise, mask=mask, kernel=kernel, minarea=LEAST_AREA, clean=False)
    if not len(objects) or not len(found):
        return objects
    return np.concatenate([objects, found[_hidden(objects, found, image, fwhm)]])


def _hidden(objects: NDArray[Any], found: NDArray[Any], image: NDArray[np.float32], fwhm: float) -> NDArray[np.bool_]:
    """Those found that are peaks beside a star that may hide them, and no part of a star known before, bool[n]."""
    xy = np.column_stack([found["x"], found["y"]])
    near = tree_of(np.column_stack([objects["x"], objects["y"]])).query_ball_point(xy, REACH_FWHM * fwhm)  # type: ignore[no-untyped-call]
    beside = [
        bool((objects["cpeak"][who] > LEAST_RATIO * peak).any()) for who, peak in zip(near, found["peak"], strict=True)
    ]
    # On the even wing of a bright star the kernel finds places that are no peaks: half of the pixels about them are
    # brighter.
    column, row = found["xpeak"].astype(np.int64), found["ypeak"].astype(np.int64)
    brighter = np.count_nonzero(pixels_around(image, column, row) > found["peak"], axis=0)
    peaks = brighter <= MOST_BRIGHTER
    apart = is_apart(found["x"], found["y"], objects["x"], objects["y"], fwhm)
    return np.asarray(beside & peaks & apart & (found["flux"] > 0), np.bool_)


def is_apart(x: Floats, y: Floats, known_x: Floats, known_y: Floats, fwhm: float) -> NDArray[np.bool_]:
    """Whether places, float64[n] in px, are no part of a known star, of which there is one at least; bool[n]."""
    distance, _ = tree_of(np.column_stack([known_x, known_y])).query(np.column_stack([x, y]))  # type: ignore[no-untyped-call]
    return np.asarray(distance > max(APART_FWHM * fwhm, LEAST_APART), np.bool_)


def ditch_kernel(fwhm: float) -> NDArray[np.float32]:
    """A round Gaussian of this FWHM (px) less its mean within a FWHM, float32[side, side]."""
    reach = int(np.ceil(KERNEL_REACH_FWHM * fwhm))
    span = np.arange(-reach, reach + 1)
    square = np.square(span)[:, None] + np.square(span)
    inside = square <= np.square(reach + 0.3)
    profile = np.exp(-4 * np.log(2) * square / fwhm**2)
    return np.where(inside, profile - profile[inside].mean(), 0).astype(np.float32)
