"""The sky level beside each source: a clipped mean over an annulus, for all sources at once."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.stamps import Offsets, PixelBlock, pixel_blocks, ring_offsets
from pipeline.statistics import MAD_TO_SIGMA

CLIP_SIGMA = 3.0
CLIP_PASSES = 4  # the first centre is off by 0.2 sigma at most, and each pass divides what is left by 40
START_PIXELS = 64  # of the annulus, evenly spread: enough for the first centre, eight times faster than all of them
NEIGHBOUR_SIGMA = 5.0  # pixels above it are left out with all pixels around them: clipping alone keeps the wings
MIN_SKY_PIXELS = 30  # fewer cannot tell the sky from a neighbour
FEWEST_LEVELS = 20  # of a frame, that tell by how much its sky differs from place to place
STANDS_OUT_SIGMA = 3.0  # a level further off is believed as it is, but for so much
MEDIAN_VARIANCE = np.pi / 2.0  # of a median over that of a mean, for a Gaussian
LEFT_OUT = np.float32(1e30)  # ADU; any value no clip keeps: finite, so that its product with a weight of 0 is 0

_DENSITY = np.exp(-0.5 * CLIP_SIGMA**2) / np.sqrt(2.0 * np.pi)  # of a unit Gaussian at the clip
_KEPT = 1.0 - 2.7e-3  # of a Gaussian within 3 sigma
CLIPPED_VARIANCE = 1.0 - 2.0 * CLIP_SIGMA * _DENSITY / _KEPT  # of a unit Gaussian cut at the clip
# Mean of a unit distribution of skewness g cut at ±k: -g k³ φ(k) / 3, by the Gram-Charlier series.
CLIPPED_SKEW_SHIFT = CLIP_SIGMA**3 * _DENSITY / 3.0 / _KEPT / CLIPPED_VARIANCE


@dataclass(frozen=True)
class LocalSky:
    """Sky beside n sources.

    Attributes:
        level: float64[n], ADU a pixel; NaN without sky.
        rms: float64[n], scatter of a pixel, ADU; NaN without sky.
        pixels: int64[n], pixels used.
        worth: float64[n], pixels whose mean would be as good as the level.
    """

    level: NDArray[np.float64]
    rms: NDArray[np.float64]
    pixels: NDArray[np.int64]
    worth: NDArray[np.float64]


def neighbour_mask(
    image: NDArray[np.float32], xy: NDArray[np.float64], background_rms: float, half_width: int
) -> NDArray[np.bool_]:
    """Pixels that belong to a star: within ``half_width`` px (in x and in y) of a source or of a bright pixel.

    Clipping alone leaves the part of each neighbour's profile that lies below the clip, about 0.05 sigma of bias for
    a neighbour of any brightness in an annulus of 500 px.

    Args:
        image: float32[ny, nx], background-subtracted, ADU.
        xy: float64[n, 2], all known sources, px.
        background_rms: of a sky pixel, ADU.
        half_width: px, about the FWHM.

    Returns:
        bool[ny, nx].
    """
    mask = image > np.float32(NEIGHBOUR_SIGMA * background_rms)
    column, row = np.rint(xy).astype(np.int64).T
    inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    mask[row[inside], column[inside]] = True
    grown = 0  # px on each side; in doubling steps, each a pass over the image
    while grown < half_width:
        step = min(2 * grown + 1, half_width - grown)
        source = mask.copy()
        mask[step:] |= source[:-step]
        mask[:-step] |= source[step:]
        np.copyto(source, mask)
        mask[:, step:] |= source[:, :-step]
        mask[:, :-step] |= source[:, step:]
        grown += step
    return mask


def local_sky(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    annulus: tuple[float, float],
    *,
    unusable: NDArray[np.bool_] | None,
    neighbours: NDArray[np.bool_],
    background_rms: float,
    third_moment: float = 0.0,
) -> LocalSky:
    """Clipped mean of the annulus around each source.

    A source that has too few pixels clear of its neighbours (a crowd, a nebula) uses all usable ones.

    Args:
        image: float32[ny, nx], ADU.
        xy: float64[n, 2], finite positions, px.
        annulus: inner and outer radius, px.
        unusable: bool[ny, nx], bad pixels, never used.
        neighbours: bool[ny, nx], pixels of stars.
        background_rms: of a sky pixel, ADU; the first clip is at least as wide.
        third_moment: third central moment of a sky pixel, ADU³ (Poisson: level / gain²). A symmetric clip cuts more
            of the longer tail; this puts the mean back, 0.013 sigma at 10 photons a pixel.

    Returns:
        LocalSky of n sources; NaN and zero pixels where fewer than MIN_SKY_PIXELS are left.
    """
    offsets = ring_offsets(*annulus)
    left_out = neighbours if unusable is None else neighbours | unusable
    level, rms, pixels = _annulus_means(image, xy, offsets, left_out, background_rms)
    few = np.flatnonzero(pixels < MIN_SKY_PIXELS)
    if few.size:
        level[few], rms[few], pixels[few] = _annulus_means(image, xy[few], offsets, unusable, background_rms)
    none = pixels < MIN_SKY_PIXELS
    level[none] = np.nan
    rms[none] = np.nan
    pixels[none] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(rms > 0, CLIPPED_SKEW_SHIFT * third_moment / rms**2, 0.0)
    return LocalSky(level + shift, rms, pixels, worth=pixels.astype(np.float64))


def draw_to_frame(sky: LocalSky) -> LocalSky:
    """Levels drawn towards the frame's own, as far as the noise of their pixels alone sets them apart.

    The mean of an annulus of B pixels errs by rms / √B, in a large aperture up to a fourth of the variance that the sky
    brings. Its background once subtracted, the sky itself may differ less from star to star. With the variance τ² by
    which levels differ beyond that noise, the best estimate is ``m + k (level - m)``, ``k = τ² / (τ² + rms² / B)``
    (empirical Bayes: Efron & Morris 1975, JASA 70, 311), m the median of the frame's levels. In a crowd, a nebula or an
    uneven field k is 1. So it is for single levels: by what one exceeds STANDS_OUT_SIGMA its own τ² is the larger.

    Args:
        sky: of all sources of one frame, whose background was subtracted.

    Returns:
        LocalSky; the same with fewer than FEWEST_LEVELS levels.
    """
    found = sky.pixels > 0
    count = np.count_nonzero(found)
    if count < FEWEST_LEVELS:
        return sky
    noise = np.square(sky.rms) / np.maximum(sky.pixels, 1)
    middle = np.median(sky.level[found])
    away = sky.level - middle
    spread = np.square(MAD_TO_SIGMA * np.median(np.abs(away[found])))
    real = max(float(spread - np.median(noise[found])), 0.0)
    beyond = np.maximum(np.square(away) - STANDS_OUT_SIGMA**2 * (real + noise), 0.0)
    trust = np.divide(real + beyond, real + beyond + noise, out=np.ones_like(noise), where=noise > 0)
    share = trust + np.square(1.0 - trust) * MEDIAN_VARIANCE / count  # of the annulus' variance that is left
    return replace(sky, level=middle + trust * away, worth=sky.pixels / share)


def with_frame_levels(sky: LocalSky, background_rms: float) -> LocalSky:
    """Levels for the sources without sky pixels too: the median of the frame's others.

    Its error is by how much those differ among themselves, and never less than that of the poorest annulus that counts:
    a place without sky pixels is not like the others.

    Args:
        sky: of all sources of one frame, whose background was subtracted.
        background_rms: of a sky pixel, ADU; where no source has sky, the background alone is trusted.
    """
    none = sky.pixels == 0
    if not none.any():
        return sky
    level, rms, worth = 0.0, background_rms, float(MIN_SKY_PIXELS)
    if not none.all():
        found = ~none
        level, rms = float(np.median(sky.level[found])), float(np.median(sky.rms[found]))
        if np.count_nonzero(found) >= FEWEST_LEVELS:
            spread = MAD_TO_SIGMA * float(np.median(np.abs(sky.level[found] - level)))
            worth = min(worth, (rms / spread) ** 2) if spread > 0 else worth
    return replace(
        sky,
        level=np.where(none, level, sky.level),
        rms=np.where(none, rms, sky.rms),
        worth=np.where(none, worth, sky.worth),
    )


def _annulus_means(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    offsets: Offsets,
    left_out: NDArray[np.bool_] | None,
    least_sigma: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Level, rms and number of the pixels of each annulus; level and rms NaN where there is none."""
    level, rms = np.full((2, len(xy)), np.nan)
    pixels = np.zeros(len(xy), dtype=np.int64)
    flat_image = image.ravel()
    flat_left_out = None if left_out is None else left_out.ravel()
    for block in pixel_blocks(xy, (image.shape[0], image.shape[1]), offsets):
        values = _block_values(flat_image, flat_left_out, block)
        level[block.rows], rms[block.rows], pixels[block.rows] = _clipped_mean(values, np.float32(least_sigma))
    return level, rms, pixels


def _block_values(
    flat_image: NDArray[np.float32], flat_left_out: NDArray[np.bool_] | None, block: PixelBlock
) -> NDArray[np.float32]:
    values = flat_image.take(block.flat)
    if flat_left_out is not None:
        floor = flat_left_out.take(block.flat).astype(np.float32)
        floor *= 2.0 * LEFT_OUT
        floor -= LEFT_OUT
        np.fmax(values, floor, out=values)  # a sixth of the time of a masked copy; replaces NaN too
    if block.outside is not None:
        values[block.outside] = LEFT_OUT
    return values


def _clipped_mean(
    values: NDArray[np.float32], least_sigma: np.float32
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean, standard deviation and count of each row of float32[b, m], LEFT_OUT pixels and outliers left out."""
    centre, sigma = _start(values, least_sigma)
    ones = np.ones(values.shape[1], dtype=np.float32)
    difference = np.empty_like(values)
    size = np.empty_like(values)
    for _ in range(CLIP_PASSES):
        np.subtract(values, centre[:, None], out=difference)
        np.abs(difference, out=size)
        kept = (size <= (CLIP_SIGMA * sigma)[:, None]).astype(np.float32)
        difference *= kept
        count = kept @ ones
        divisor = np.maximum(count, 1.0)
        shift = (difference @ ones) / divisor
        variance = np.einsum("ij,ij->i", difference, difference) / divisor - shift**2
        centre = centre + shift
        sigma = np.sqrt(np.maximum(variance, 0.0) / CLIPPED_VARIANCE).astype(np.float32)
    return centre.astype(np.float64), sigma.astype(np.float64), count.astype(np.int64)


def _start(values: NDArray[np.float32], least_sigma: np.float32) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median of an even sample of each row, and sigma from its quartiles."""
    stride = max(1, values.shape[1] // START_PIXELS)
    sample = np.sort(values[:, ::stride], axis=1)
    count = np.count_nonzero(sample < LEFT_OUT, axis=1)
    rows = np.arange(len(sample))
    lower, middle, upper = (sample[rows, (count * part) // 4] for part in (1, 2, 3))
    middle = np.where(count > 0, middle, np.float32(0.0))
    # Quartiles of whole numbers can coincide, and those of a small sample err: too wide a start costs only a pass.
    return middle, np.where(count > 3, np.maximum((upper - lower) / np.float32(1.349), least_sigma), least_sigma)
