"""Pixels sharper than any star: hot pixels, cosmic rays and short tracks of them."""

from math import erf

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.places import NOWHERE, Places
from pipeline.kernels.sharp_candidates import follow_tracks, sharp_candidates

SHARP_THRESHOLD = 5.0  # sky rms by which a pixel must exceed what its neighbours allow a star
# px; nothing that a star this sharp could do is masked. Trailed stars of undersampled cameras reach 1.4 px across the
# trail (MicroObservatory's do, in one frame of eight, when 1.5 px was the limit their cores were masked).
SHARPEST_FWHM = 1.2
CONTRAST_MARGIN = 1.2  # for photon noise, intra-pixel response and profiles more peaked than a Gaussian
BRIGHT_PEAK = 30.0  # sky rms; stars above it tell how sharp this frame's stars are
BRIGHT_MINIMUM = 10  # stars needed to trust the frame's own sharpness
BRIGHT_QUANTILE = 0.9  # of the bright stars' contrasts: those centred on a pixel
FRAME_MARGIN = 1.3  # over that quantile, for stars sharper than the frame's typical ones
TRACK_ROUNDS = 3  # pixels at corners and ends of a track that follow from pixels already found

Floats = NDArray[np.float32]


def pair_contrast(fwhm: float) -> float:
    """Centre pixel over the mean of two opposite neighbours, for a Gaussian star centred on a pixel; fwhm in px."""
    centre, side = _pixel_shares(fwhm)
    return centre / side


def ring_contrast(fwhm: float) -> float:
    """Centre pixel over the mean of its eight neighbours, for a Gaussian star centred on a pixel; fwhm in px."""
    centre, side = _pixel_shares(fwhm)
    return 2 * centre**2 / (centre * side + side**2)


def _pixel_shares(fwhm: float) -> tuple[float, float]:
    # Shares of a one-dimensional Gaussian that fall in its central pixel and in the next one.
    half = 0.5 * np.sqrt(4 * np.log(2)) / fwhm
    return erf(half), (erf(3 * half) - erf(half)) / 2


def find_sharp_pixels(image: Floats, rms: float) -> NDArray[np.bool_]:
    """Mask bool[ny, nx] of the `sharp_places`."""
    bad = np.zeros(image.shape, np.bool_)
    bad.reshape(-1)[sharp_places(image, rms)] = True
    return bad


def sharp_places(
    image: Floats, rms: float, *, threshold: float = SHARP_THRESHOLD, fwhm: float = SHARPEST_FWHM
) -> Places:
    """Flat indices, ascending, of hot pixels and cosmic rays, which stars of at least ``fwhm`` pixels never enter.

    image: float32[ny, nx], sky subtracted, masked pixels NaN; rms: noise of a sky pixel; threshold: in rms.
    Two tests, each of a ratio that has a ceiling for stars, wherever these lie on the grid:

    - runs: a pixel over the lesser of the means of its two pairs of opposite neighbours (left and right, below and
      above); trailed stars keep below the ceiling too. Catches pixels in runs along rows and columns.
    - lone pixels: a local maximum over the mean of its eight neighbours; the ceiling is that of the frame's own
      bright stars where these are wider than ``fwhm``. Reaches fainter pixels.

    The narrow trails that bleed from saturated stars are found as well.
    """
    if not rms > 0 or min(image.shape) < 3:
        return NOWHERE
    image = np.ascontiguousarray(image)
    noise = threshold * rms
    contrast = CONTRAST_MARGIN * pair_contrast(fwhm)
    pixels = sharp_candidates(image, noise, contrast, _least_excess(contrast, 2, noise))
    summit = ~pixels.is_run
    where, peak, ring = pixels.place[summit], pixels.peak[summit], pixels.ring[summit]
    ceiling = _frame_contrast(peak, ring, rms, CONTRAST_MARGIN * ring_contrast(fwhm))
    seeds = np.sort(np.concatenate([pixels.place[pixels.is_run], where[_exceeds(peak, ring, ceiling, 8, noise)]]))
    bad = np.zeros(image.shape, np.bool_)
    bad.reshape(-1)[seeds] = True
    found = [seeds]
    for _ in range(TRACK_ROUNDS):
        seeds = follow_tracks(image, bad, seeds, noise, contrast, _least_excess(contrast, 2, noise))
        found.append(seeds)
    return np.sort(np.concatenate(found))


def _exceeds(peak: Floats, neighbours: Floats, contrast: float, number: int, noise: float) -> NDArray[np.bool_]:
    # NaN neighbours compare false: the pixel stays.
    excess = peak - np.float32(contrast) * np.maximum(neighbours, 0)
    return np.asarray(excess > _least_excess(contrast, number, noise))


def _least_excess(contrast: float, number: int, noise: float) -> float:
    """Of a pixel over so many neighbours' mean, by the noise of all of them."""
    return noise * float(np.sqrt(1 + contrast**2 / number))


def _frame_contrast(peak: Floats, ring: Floats, rms: float, ceiling: float) -> float:
    star = (peak > BRIGHT_PEAK * rms) & (ring > 0) & (peak < ceiling * ring)
    if np.count_nonzero(star) < BRIGHT_MINIMUM:
        return ceiling
    return min(ceiling, FRAME_MARGIN * float(np.quantile(peak[star] / ring[star], BRIGHT_QUANTILE)))
