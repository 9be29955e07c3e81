"""What of a frame is not to be believed: bad pixels, cosmic rays, saturation, trails; and the stars that are left."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.detector_masks import Defects
from pipeline.frame.bad_pixels import sharp_places
from pipeline.frame.border import mask_odd_borders
from pipeline.frame.masked_pixels import NO_VALUE, PixelBit, pixel_table, with_bit
from pipeline.frame.stars import find_stars, frame_fwhm
from pipeline.frame.trails import find_trails
from pipeline.kernels.places import NOWHERE, Places, nan_places


@dataclass(frozen=True)
class FrameMasks:
    """What is known against pixels, and the stars.

    Attributes:
        bits: uint8[ny, nx] of `PixelBit`.
        pixels: PIXEL_DTYPE[n], those that have any.
        stars: STAR_DTYPE[n], none under a trail.
        trails: how many.
    """

    bits: NDArray[np.uint8]
    pixels: NDArray[Any]
    stars: NDArray[Any]
    trails: int

    def count(self, bit: PixelBit) -> int:
        """Pixels that have a bit."""
        return with_bit(self.pixels, bit).size


def mask_frame(
    image: NDArray[np.float32],
    rms: float,
    *,
    exposure: float,
    defects: Defects,
    saturated: Places = NOWHERE,
    nonlinear: Places = NOWHERE,
) -> FrameMasks:
    """Mask a frame; its bad pixels become NaN IN PLACE, cosmic rays and what lies under trails keep their values.

    A single frame cannot tell a cosmic ray from the sharp core of a star, or from the rim of a defocused one: whether
    light of the night's stars explains a pixel is decided when they are known (`pipeline.aperture.own_light`).

    image: float32[ny, nx], contiguous, sky subtracted, NaN where there is no flat; rms: noise of a sky pixel, ADU;
    exposure: s; defects: what the masters know; saturated, nonlinear: flat indices int64[n], by raw counts. Sharp
    pixels are cosmic rays unless the masters know the pixel, or it is saturated (a bleeding column).
    """
    values, bits = image.reshape(-1), np.zeros(image.shape, np.uint8)
    flat = bits.reshape(-1)
    flat[saturated] |= np.uint8(PixelBit.SATURATED)
    flat[nonlinear] |= np.uint8(PixelBit.NONLINEAR)
    odd = mask_odd_borders(image, rms)
    if odd is not None:
        image[odd] = np.nan
    values[defects.unusable(exposure, rms)] = np.nan
    sharp = sharp_places(image, rms)
    explained = defects.is_hot(sharp) | ((flat[sharp] & np.uint8(PixelBit.SATURATED)) > 0)
    rays = sharp[~explained]
    flat[rays] |= np.uint8(PixelBit.COSMIC)
    hit = values[rays]
    values[sharp] = np.nan
    without = nan_places(values)
    flat[without[(flat[without] & np.uint8(NO_VALUE)) == 0]] |= np.uint8(PixelBit.BAD)

    stars = find_stars(image, rms, masked=without)
    trails = find_trails(image, rms, stars, frame_fwhm(stars), saturated)
    if trails:
        under = np.unique(np.concatenate([trail.pixels(image.shape) for trail in trails]))
        flat[under] |= np.uint8(PixelBit.TRAIL)
        kept = values[under]
        values[under] = np.nan
        stars = find_stars(image, rms)
        values[under] = kept
    values[rays] = hit
    return FrameMasks(bits, pixel_table(bits), stars, len(trails))
