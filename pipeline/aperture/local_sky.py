"""The sky level beside each source: a clipped mean over an annulus, for all sources at once."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.annulus import (
    CLIP_SIGMA,
    CLIPPED_VARIANCE,
    DENSITY,
    KEPT,
    annulus_means,
    bright_runs,
    star_pixels,
)
from pipeline.kernels.places import marked_places
from pipeline.stamps import nearest_pixels, ring_offsets
from pipeline.statistics import MAD_TO_SIGMA

NEIGHBOUR_SIGMA = 5.0  # pixels above it are left out with all pixels around them: clipping alone keeps the wings
MIN_SKY_PIXELS = 30  # fewer cannot tell the sky from a neighbour
FEWEST_LEVELS = 20  # of a frame, that tell by how much its sky differs from place to place
STANDS_OUT_SIGMA = 3.0  # a level further off is believed as it is, but for so much
MEDIAN_VARIANCE = np.pi / 2.0  # of a median over that of a mean, for a Gaussian
# Mean of a unit distribution of skewness g cut at ±k: -g k³ φ(k) / 3, by the Gram-Charlier series.
CLIPPED_SKEW_SHIFT = CLIP_SIGMA**3 * DENSITY / 3.0 / KEPT / CLIPPED_VARIANCE


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
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    background_rms: float,
    half_width: int,
    runs: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """Pixels that belong to a star: within ``half_width`` px (in x and in y) of a source or of a bright pixel.

    Clipping alone leaves the part of each neighbour's profile that lies below the clip, about 0.05 sigma of bias for
    a neighbour of any brightness in an annulus of 500 px.

    Args:
        image: float32[ny, nx], background-subtracted, ADU.
        xy: float64[n, 2], all known sources, px.
        background_rms: of a sky pixel, ADU.
        half_width: px, about the FWHM.
        runs: int64[n, 2], of `bright_runs`, that hold all bright pixels but those of ``xy``; found where not given.

    Returns:
        bool[ny, nx].
    """
    image, limit, places = np.ascontiguousarray(image), NEIGHBOUR_SIGMA * background_rms, nearest_pixels(xy)
    inside = ((places >= 0) & (places < image.shape)).all(axis=1)
    return star_pixels(image, bright_runs(image, limit)[0] if runs is None else runs, places[inside], limit, half_width)


def local_sky(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    annulus: tuple[float, float],
    *,
    unusable: NDArray[np.bool_] | NDArray[np.uint8] | None,
    neighbours: NDArray[np.bool_],
    background_rms: float,
    third_moment: float = 0.0,
    marked: NDArray[np.int64] | None = None,
) -> LocalSky:
    """Clipped mean of the annulus around each source.

    A source that has too few pixels clear of its neighbours (a crowd, a nebula) uses all usable ones.

    Args:
        image: float32[ny, nx], ADU.
        xy: float64[n, 2], finite positions, px.
        annulus: inner and outer radius, px.
        unusable: bool or uint8[ny, nx], not 0 for bad pixels, never used.
        neighbours: bool[ny, nx], pixels of stars; unusable ones are made such IN PLACE.
        background_rms: of a sky pixel, ADU; the first clip is at least as wide.
        third_moment: third central moment of a sky pixel, ADU³ (Poisson: level / gain²). A symmetric clip cuts more
            of the longer tail; this puts the mean back, 0.013 sigma at 10 photons a pixel.
        marked: int64[m], flat indices of the unusable pixels; found where not given.

    Returns:
        LocalSky of n sources; NaN and zero pixels where fewer than MIN_SKY_PIXELS are left.
    """
    image, places, offsets = np.ascontiguousarray(image), nearest_pixels(xy), ring_offsets(*annulus).pairs
    if unusable is not None:  # few: their places take a tenth of the time of whole images
        neighbours.reshape(-1)[marked_places(unusable) if marked is None else marked] = True
    level, rms, pixels = annulus_means(image, places, offsets, neighbours.view(np.uint8), background_rms)
    few = np.flatnonzero(pixels < MIN_SKY_PIXELS)
    if few.size:
        bad = np.zeros(image.shape, np.uint8) if unusable is None else np.ascontiguousarray(unusable).view(np.uint8)
        level[few], rms[few], pixels[few] = annulus_means(image, places[few], offsets, bad, background_rms)
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
