"""How far a source stands out from the level about it: a star has a core, the rest of a halo has none."""

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.stamps import pixel_blocks, ring_offsets
from pipeline.statistics import row_median

CORE_FWHM = 0.75  # radius of the circle that holds the core: 0.79 of a Gaussian's light
RING_FWHM = (1.0, 2.0)  # radii of the level about it: a Gaussian's light there is 6 % of its peak and less
MEDIAN_VARIANCE = np.pi / 2  # of a median over that of a mean, of Gaussian values


def prominence(
    image: NDArray[np.float32],
    noise: NDArray[np.float32],
    mask: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    fwhm: float,
) -> NDArray[np.float64]:
    """Signal to noise of the light of each core above the median of a near ring.

    A ring so near is level where the sky is not: on the slope of a halo one half is brighter by as much as the other is
    fainter, and neighbours within reach, brighter ones too, cover less than half of it.

    Args:
        image: float32[ny, nx].
        noise: float32[ny, nx], of a pixel; anything where masked.
        mask: bool[ny, nx], pixels that count as unknown.
        x, y: float64[n], px.
        fwhm: of stars, px.

    Returns:
        float64[n]; NaN where nothing of core or ring is known.
    """
    known = np.where(mask, np.float32(np.nan), image).ravel()
    level, pixels = np.full((2, len(x)), np.nan)
    xy = np.column_stack([x, y])
    for block in pixel_blocks(xy, (image.shape[0], image.shape[1]), ring_offsets(*(fwhm * np.array(RING_FWHM)))):
        values = known[block.flat].astype(np.float64)
        if block.outside is not None:
            values[block.outside] = np.nan
        level[block.rows] = row_median(values)
        pixels[block.rows] = np.isfinite(values).sum(axis=1)
    radius = CORE_FWHM * fwhm
    light, error, _ = sep.sum_circle(image, x, y, radius, err=np.where(mask, np.float32(0), noise), mask=mask)
    area = np.pi * radius**2  # sep makes up for masked pixels and the border
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((light - area * level) / (error * np.sqrt(1.0 + MEDIAN_VARIANCE * area / pixels)))
