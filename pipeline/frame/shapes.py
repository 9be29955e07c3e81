"""Shapes of stars from Gaussian-weighted moments, which no detection threshold cuts off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.star_windows import gaussian_moments

SIGMA_TO_FWHM = 2.3548
NARROWEST_WEIGHT = 2.5  # px FWHM; a narrower weight, sampled at pixel centres, makes round stars look elongated
# px FWHM. A narrower window draws centroids to the middles of pixels: by up to 0.04 px for stars of FWHM 1.5 px in a
# window of 1.8, by 0.3 in one of 0.7.
NARROWEST_WINDOW = 2.5
WEIGHT_REACH = 3.0  # sigma of the weight to each side
LARGEST_SHARE = 0.9  # of the weight's variance; a source without an end would be infinitely wide
PIXEL_VARIANCE = 1 / 12  # px², of a single pixel: nothing is narrower

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shapes:
    """Variances in px² along the major and the minor axis, under the weight: float64[n] each, NaN without light.

    A Gaussian of the weight's own width has half of the weight's variance, a single pixel nearly none.
    """

    major: Floats
    minor: Floats
    weight: float

    @property
    def fwhm(self) -> Floats:
        """FWHM in px of the Gaussians that have these moments, the pixel's own width included."""
        return np.asarray(SIGMA_TO_FWHM * np.sqrt((self._unweighted(self.major) + self._unweighted(self.minor)) / 2))

    @property
    def ellipticity(self) -> Floats:
        """1 − b/a of the Gaussians that have these moments."""
        return np.asarray(1 - np.sqrt(self._unweighted(self.minor) / self._unweighted(self.major)))

    def _unweighted(self, variance: Floats) -> Floats:
        # The product of two Gaussians: inverse variances add.
        seen = np.clip(variance, PIXEL_VARIANCE / 2, LARGEST_SHARE * self.weight)
        return np.asarray(1 / (1 / seen - 1 / self.weight))


def measure_shapes(
    image: NDArray[np.float32], x: Floats, y: Floats, fwhm: float, mask: NDArray[np.bool_] | None = None
) -> Shapes:
    """Moments of the sources at x, y float64[n] (px) under a round Gaussian of the stars' fwhm (px), 2.5 at least.

    image: float32[ny, nx], sky subtracted, NaN does not count; mask: bool[ny, nx], further pixels that do not.
    """
    weight = (max(fwhm, NARROWEST_WEIGHT) / SIGMA_TO_FWHM) ** 2
    reach = int(np.ceil(WEIGHT_REACH * np.sqrt(weight)))
    known = np.where(mask, np.float32(np.nan), image) if mask is not None else np.ascontiguousarray(image)
    total, _, _, *moments = gaussian_moments(known, x, y, weight, reach).T
    xx, yy, xy = (np.divide(moment, total, out=np.full(len(x), np.nan), where=total > 0) for moment in moments)
    half, difference = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return Shapes(half + difference, half - difference, weight)
