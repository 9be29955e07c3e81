"""Stars beside far brighter ones, which a smoothed image does not show as stars of their own.

Smoothed enough to show faint stars, an image of narrow stars has too few pixels between a star and one 50 times as
bright for their blend to be told apart. A kernel that sums to zero (as that of DAOFIND, Stetson 1987, PASP 99, 191)
leaves a ditch around each.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction import extract
from pipeline.nearest import tree_of

APART_FWHM = 1.0  # from every known star; nearer, a detection is a part of it
REACH_FWHM = 4.0  # from a brighter star; farther out nothing hides
LEAST_FWHM = 1.8  # px, of the kernel
KERNEL_REACH_FWHM = 1.0  # with 1.5 a star 100 times as bright 3 FWHM away draws centroids off by 0.27 FWHM, so by 0.12
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
    """Detections of `pipeline.extraction.extract` and, behind them, of the stars that these hide.

    fwhm: of stars, px; the other arguments are those of `extract`.
    """
    kernel = ditch_kernel(max(fwhm, LEAST_FWHM))
    found = extract(image, threshold, noise=noise, mask=mask, kernel=kernel, minarea=LEAST_AREA, clean=False)
    if not len(objects) or not len(found):
        return objects
    xy = np.column_stack([found["x"], found["y"]])
    apart = np.full(len(found), np.inf)
    for x, y in (("x", "y"), ("xcpeak", "ycpeak")):
        distance, _ = tree_of(np.column_stack([objects[x], objects[y]])).query(xy)  # type: ignore[no-untyped-call]
        apart = np.minimum(apart, distance)
    near = tree_of(np.column_stack([objects["x"], objects["y"]])).query_ball_point(xy, REACH_FWHM * fwhm)  # type: ignore[no-untyped-call]
    beside = np.array(
        [bool((objects["cpeak"][who] > peak).any()) for who, peak in zip(near, found["peak"], strict=True)]
    )
    return np.concatenate([objects, found[beside & (apart > APART_FWHM * fwhm) & (found["flux"] > 0)]])


def ditch_kernel(fwhm: float) -> NDArray[np.float32]:
    """A round Gaussian of this FWHM (px) less its mean within a FWHM, float32[side, side]."""
    reach = int(np.ceil(KERNEL_REACH_FWHM * fwhm))
    span = np.arange(-reach, reach + 1)
    square = np.square(span)[:, None] + np.square(span)
    inside = square <= np.square(reach + 0.3)
    profile = np.exp(-4 * np.log(2) * square / fwhm**2)
    return np.where(inside, profile - profile[inside].mean(), 0).astype(np.float32)
