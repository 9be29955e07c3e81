"""Stars out of focus: rings and discs, which a detection by their brightest spots takes to pieces."""

from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.frame.extraction import SMOOTHING, extract, noise_left, usual_noise
from pipeline.frame.masked_pixels import fill_holes
from pipeline.kernels.binning import binned_sums

LEAST_FWHM = 4.5  # px; narrower stars have no ring that pixels could show
# Of the light within half a FWHM of a star's centre, in half that radius, below which a star is out of focus. Gaussians
# have 0.32, Moffats 0.33 and more, trailed stars 0.35 and more; flat discs 0.25 to 0.27, comas 0.27 to 0.30, rings with
# a shadow of 0.42 of their diameter 0.04 (20 px across) to 0.19 (6 px).
CORE_SHARE = 0.30
TELLING_STARS = 50  # brightest stars whose median tells
LIGHT_REACH = 1.25  # FWHM from a star's centre, within which its light is; rings end at 0.7
WIDTH_ROUNDS = 12  # at most, from a piece's width to its ring's, a quarter more in each
WIDTH_AGREES = 0.03  # of the width, at which it grows no more
MOST_FWHM = 60.0  # px; light without an end is no star
PIXELS_PER_FWHM = 3.0  # of the image on which stars out of focus are sought
# Sigma over FWHM of the Gaussian that smooths them. Of 64 neighbours with a fifth or a twentieth of a ring's light,
# 1.5 to 2.2 diameters from it, 55 are found; 38 with 0.45, which makes one hill of any ring. With 0.2 some pieces stay
# stars of their own.
SMOOTHING_FWHM = 0.25
# Sigma over FWHM of the window that finds a star's centre: that of a ring draws every start to the middle from 0.45 on,
# a narrower one to the rim.
RING_WINDOW = 0.5
KERNEL_REACH = 4.0  # sigma; the edges of one cut at 2.5 made stars of the outskirts of the brightest

Floats = NDArray[np.float64]


def width_out_of_focus(
    image: NDArray[np.float32], x: Floats, y: Floats, fwhm: float, mask: NDArray[np.bool_] | None = None
) -> float | None:
    """FWHM in px of stars whose light has no peak at their centres; None where it has.

    x, y: float64[n], px, of stars or of pieces of them, brightest first; fwhm: of these, px: the width is sought from
    there upwards, so that neighbours do not count. image: float32[ny, nx], sky subtracted; mask: bool[ny, nx], pixels
    that do not count.
    """
    x, y = x[:TELLING_STARS], y[:TELLING_STARS]
    for _ in range(WIDTH_ROUNDS):
        if not 0 < fwhm < MOST_FWHM or not len(x):
            return None
        x, y = centre_wide(image, x, y, fwhm, mask)
        width = half_flux_diameters(image, x, y, fwhm, mask)
        known = np.isfinite(width)
        guess, fwhm = fwhm, float(np.median(width[known])) if known.any() else np.nan
        if abs(fwhm / guess - 1) < WIDTH_AGREES:
            break
    return fwhm if out_of_focus(image, x, y, fwhm, mask) else None


def out_of_focus(
    image: NDArray[np.float32], x: Floats, y: Floats, fwhm: float, mask: NDArray[np.bool_] | None = None
) -> bool:
    """Whether stars at x, y (float64[n], px, brightest first) of this FWHM (px) have no peak at their centres."""
    if not fwhm >= LEAST_FWHM or not len(x):
        return False
    x, y = centre_wide(image, x[:TELLING_STARS], y[:TELLING_STARS], fwhm, mask)
    core, whole = (sep.sum_circle(image, x, y, share * fwhm, mask=mask, subpix=0)[0] for share in (0.25, 0.5))
    good = whole > 0
    return bool(good.any()) and float(np.median(core[good] / whole[good])) < CORE_SHARE


def centre_wide(
    image: NDArray[np.float32], x: Floats, y: Floats, fwhm: float, mask: NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats]:
    """Centres, float64[n] each (px), of the light about x, y in a window of stars of this FWHM (px) out of focus."""
    x, y, _ = sep.winpos(image, x, y, RING_WINDOW * fwhm, mask=mask, subpix=0)
    return x, y


def half_flux_diameters(
    image: NDArray[np.float32], x: Floats, y: Floats, fwhm: float, mask: NDArray[np.bool_] | None = None
) -> Floats:
    """Diameter of the circle that holds half of each star's light, float64[n] in px: the FWHM, if it were a Gaussian.

    The light is that within 1.25 ``fwhm`` (px, may be wrong by a third) of x, y; moments of rings say anything, by the
    width of their weight: 16 to 36 px for rings 20 px across. NaN where there is no light.
    """
    if mask is not None:
        image = np.where(mask, np.float32(0), image)
    radius, flag = sep.flux_radius(image, x, y, np.full(len(x), LIGHT_REACH * fwhm), 0.5, subpix=5)
    return np.where((flag == 0) & (radius > 0), 2 * radius, np.nan)


def extract_wide(
    image: NDArray[np.float32],
    threshold: float,
    fwhm: float,
    *,
    noise: float | NDArray[np.float32],
    mask: NDArray[np.bool_] | None = None,
    **options: Any,
) -> NDArray[Any]:
    """Detections of stars out of focus, on means of pixels: one for a ring, or a few.

    Equal pairs nearer than 1.5 FWHM become one. Arguments and result as those of `pipeline.frame.extraction.extract`,
    the threshold as significant as there; ``peak`` is the brightest pixel, its place and areas have no meaning.
    """
    if mask is not None:
        image, noise = fill_holes(image, mask), usual_noise(noise, mask)
    size = max(1, int(fwhm / PIXELS_PER_FWHM))
    coarse = binned_sums(image, size) / np.float32(size**2)
    coarse_mask = None if mask is None else binned_sums(mask.astype(np.float32), size) > size**2 / 2
    kernel = _gaussian(SMOOTHING_FWHM * fwhm / size)
    if isinstance(noise, np.ndarray):
        noise = (np.sqrt(binned_sums(np.square(noise), size)) / size**2).astype(np.float32)
    else:
        noise /= size
        threshold *= noise_left(kernel) / noise_left(SMOOTHING)
    found = extract(coarse, threshold, noise=noise, mask=coarse_mask, kernel=kernel, **options)
    found["peak"] = _brightest_pixels(image, found, size)
    for name in ("x", "y", "xcpeak", "ycpeak"):
        found[name] = (found[name] + 0.5) * size - 0.5
    for name, scale in (("a", size), ("b", size), ("flux", size**2)):
        found[name] *= scale
    return found


def _brightest_pixels(image: NDArray[np.float32], found: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Of the 3×3 coarse pixels about each peak: lone hot pixels are known by it."""
    span = np.arange(-size, 2 * size)
    rows = np.clip(found["ypeak"][:, None] * size + span, 0, image.shape[0] - 1)
    columns = np.clip(found["xpeak"][:, None] * size + span, 0, image.shape[1] - 1)
    return np.asarray(image[rows[:, :, None], columns[:, None]].max(axis=(1, 2), initial=0.0))


def _gaussian(sigma: float) -> NDArray[np.float32]:
    span = np.arange(-int(np.ceil(KERNEL_REACH * sigma)), int(np.ceil(KERNEL_REACH * sigma)) + 1)
    profile = np.exp(-(span**2) / (2 * sigma**2))
    return np.outer(profile, profile).astype(np.float32)
