"""The saturation level of frames whose numbers are no counts any more: from stars with flat tops, all of one height."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics import MAD_TO_SIGMA

SAMPLE_STEP = 7  # each so many pixels tell the sky and its noise
BRIGHT_SIGMA = 50.0  # noise of the sky; fainter pixels are no full ones
ALIKE = 0.97  # least over greatest of a plateau's pixel and its eight neighbours, above the sky
MOST_PIXELS = 50_000  # brightest ones that are looked at
TOP, SHOULDER = 0.95, 0.6  # of a plateau's height
# Share of the pixels above the shoulder that are on top: of a Gaussian star of any width 0.10, of one cut at 3/4 of its
# height 0.42; of the rings of a star out of focus it may be anything.
LEAST_FLAT = 0.3
LARGEST_RADIUS = 30  # px about a plateau that are looked at
SAME_HEIGHT = 0.1  # relative: a flat moves plateaus by less, stars out of focus differ by more
FEWEST = 3  # plateaus of one height, and none higher


def flat_topped_level(image: NDArray[Any]) -> float | None:
    """Level from which pixels are full, by the plateaus of bright stars; None where there are not three of one height.

    image: real[ny, nx], in any unit, NaN where unknown. A full star is cut at one height, which averaging, bias and
    flat change by some percent, and no star is higher. The lower rim of the lowest plateau is given.
    """
    sample = image[::SAMPLE_STEP, ::SAMPLE_STEP]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return None
    sky = float(np.median(sample))
    noise = MAD_TO_SIGMA * float(np.median(np.abs(sample - sky)))
    inside = _inside_plateaus(image, sky, sky + BRIGHT_SIGMA * noise)
    plateaus = [plateau for pixels in _together(inside) if (plateau := _plateau(image, sky, pixels)) is not None]
    if len(plateaus) < FEWEST:
        return None
    highest = max(height for height, _ in plateaus)
    same = [(height, size) for height, size in plateaus if height >= (1.0 - SAME_HEIGHT) * highest]
    full = sum(size for _, size in same)
    higher = np.count_nonzero(image > sky + (1.0 + SAME_HEIGHT) * highest)  # cosmic rays, but no stars
    if len(same) < FEWEST or higher > full / 2:
        return None
    return sky + ALIKE * min(height for height, _ in same)


def _inside_plateaus(image: NDArray[Any], sky: float, least: float) -> NDArray[np.intp]:
    """Rows and columns int[n, 2] of bright pixels with all neighbours alike, the brightest."""
    y, x = np.nonzero(image[1:-1, 1:-1] > least)
    if y.size > MOST_PIXELS:
        brightest = np.argpartition(-image[y + 1, x + 1], MOST_PIXELS)[:MOST_PIXELS]
        y, x = y[brightest], x[brightest]
    around = np.stack([image[y + dy, x + dx] for dy in range(3) for dx in range(3)]).astype(np.float64) - sky
    with np.errstate(invalid="ignore"):
        alike = around.min(axis=0) >= ALIKE * around.max(axis=0)  # false where one is NaN
    return np.column_stack([y[alike] + 1, x[alike] + 1])


def _together(pixels: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Those that touch each other, by groups."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree  # see pipeline/__init__.py

    if not len(pixels):
        return []
    pairs = KDTree(pixels).query_pairs(1.5, output_type="ndarray")  # type: ignore[no-untyped-call]
    touching = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(len(pixels),) * 2)  # type: ignore[no-untyped-call]
    _, group = connected_components(touching, directed=False)
    order = np.argsort(group, kind="stable")
    return np.split(pixels[order], np.flatnonzero(np.diff(group[order])) + 1)


def _plateau(image: NDArray[Any], sky: float, pixels: NDArray[np.intp]) -> tuple[float, int] | None:
    """Height above the sky and pixels of a plateau by those inside it; None of a rounded top."""
    height = float(np.median(image[pixels[:, 0], pixels[:, 1]])) - sky
    middle = np.rint(pixels.mean(axis=0)).astype(np.intp)
    radius = min(LARGEST_RADIUS, int(np.ptp(pixels, axis=0).max()) + 6)
    (top, left), (bottom, right) = np.maximum(middle - radius, 0), middle + radius + 1
    part = image[top:bottom, left:right] - sky
    on_top, above = (int(np.count_nonzero(part >= share * height)) for share in (TOP, SHOULDER))
    return (height, on_top) if on_top >= LEAST_FLAT * above else None
