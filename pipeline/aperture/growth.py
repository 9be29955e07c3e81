"""Curves of growth: how much of a star's light each aperture holds, and over how many pixels it is spread."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.apertures import circle_sums
from pipeline.stamps import pixel_blocks, ring_offsets
from pipeline.statistics import MAD_TO_SIGMA

MOST_STARS = 50  # of a frame: 50 stars of S/N 100 give a correction to 0.2 %, in 2 ms
FEWEST_STARS = 3  # one star more than a median and its scatter need
MIN_SNR = 50.0  # in the largest aperture
MEDIAN_EFFICIENCY = 1.2533  # standard error of a median over that of a mean, for a Gaussian

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Growth:
    """The curve of growth of one frame at k apertures, float64[k] each.

    Attributes:
        correction: flux within the reference radius over that in the aperture.
        error: standard error of the correction.
        sharpness: sum(p²) / (sum p)² of the stars' light p in the pixels of the aperture, 1/px.
        stars: how many gave them.
    """

    correction: Floats
    error: Floats
    sharpness: Floats
    stars: int


def measure_growth(
    image: NDArray[np.float32],
    xy: Floats,
    flux: Floats,
    sky: Floats,
    sky_rms: Floats,
    radii: tuple[float, ...],
    reference_radius: float,
) -> Growth | None:
    """Medians over a frame's bright, isolated, clean stars.

    Args:
        image: float32[ny, nx], ADU, masked pixels filled in.
        xy: float64[n, 2], the stars' positions, their reference circles inside the image, px.
        flux: float64[n, k], above the sky, ADU.
        sky: float64[n], level in the image, ADU a pixel.
        sky_rms: float64[n], ADU.
        radii: k radii, px.
        reference_radius: radius that counts as holding all of the light, px.

    Returns:
        Growth, or None with fewer than FEWEST_STARS stars.
    """
    if len(xy) < FEWEST_STARS:
        return None
    total = circle_sums(image, xy, (reference_radius,), np.ones((len(xy), 1), np.bool_))[:, 0]
    total -= sky * np.pi * reference_radius**2
    usable = (total > 0) & (flux > 0).all(axis=1)
    if np.count_nonzero(usable) < FEWEST_STARS:
        return None
    ratio = total[usable, None] / flux[usable]
    correction = np.median(ratio, axis=0)
    scatter = MAD_TO_SIGMA * np.median(np.abs(ratio - correction), axis=0)
    squares = _squares(image, xy[usable], sky[usable], sky_rms[usable], radii)
    return Growth(
        correction=correction,
        error=MEDIAN_EFFICIENCY * scatter / np.sqrt(len(ratio)),
        sharpness=np.median(squares / np.square(flux[usable]), axis=0),
        stars=len(ratio),
    )


def _squares(image: NDArray[np.float32], xy: Floats, sky: Floats, sky_rms: Floats, radii: tuple[float, ...]) -> Floats:
    """Sum of the squared light of the pixels within each radius, that of the sky's noise taken off: float64[n, k]."""
    offsets = ring_offsets(0.0, max(radii) + 1.0)
    squares = np.empty((len(xy), len(radii)))
    shape = (image.shape[0], image.shape[1])
    for block in pixel_blocks(xy, shape, offsets):
        light = image.ravel().take(block.flat) - sky[block.rows, None]
        centre = xy[block.rows] - np.rint(xy[block.rows])
        square = np.square(light) - np.square(sky_rms[block.rows, None])
        distance2 = (offsets.dx - centre[:, :1]) ** 2 + (offsets.dy - centre[:, 1:]) ** 2
        for index, radius in enumerate(radii):
            squares[block.rows, index] = np.where(distance2 < radius**2, square, 0.0).sum(axis=1)
    return squares
