"""Shapes of stars from Gaussian-weighted moments, which no detection threshold cuts off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGMA_TO_FWHM = 2.3548
NARROWEST_WEIGHT = 2.5  # px FWHM; a narrower weight, sampled at pixel centres, makes round stars look elongated
# px FWHM. A narrower window draws centroids to the middles of pixels: by up to 0.04 px for stars of FWHM 1.5 px in a
# window of 1.8, by 0.3 in one of 0.7.
NARROWEST_WINDOW = 2.5
WEIGHT_REACH = 3.0  # sigma of the weight to each side
CHUNK = 2000  # sources at once; 2000 stamps of 17×17 pixels take 5 MB an array
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


def measure_shapes(image: NDArray[np.float32], x: Floats, y: Floats, fwhm: float, mask: NDArray[np.bool_]) -> Shapes:
    """Moments of the sources at x, y float64[n] (px) under a round Gaussian of the stars' fwhm (px), 2.5 at least.

    image: float32[ny, nx], sky subtracted; mask: bool[ny, nx], pixels that do not count.
    """
    weight = (max(fwhm, NARROWEST_WEIGHT) / SIGMA_TO_FWHM) ** 2
    reach = int(np.ceil(WEIGHT_REACH * np.sqrt(weight)))
    span = np.arange(-reach, reach + 1)
    moments = np.full((3, len(x)), np.nan)
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        columns = np.rint(x[part]).astype(np.intp)[:, None] + span
        rows = np.rint(y[part]).astype(np.intp)[:, None] + span
        inside = ((rows >= 0) & (rows < image.shape[0]))[:, :, None] & ((columns >= 0) & (columns < image.shape[1]))[
            :, None
        ]
        at = (np.clip(rows, 0, image.shape[0] - 1)[:, :, None], np.clip(columns, 0, image.shape[1] - 1)[:, None])
        dx, dy = (columns - x[part, None])[:, None], (rows - y[part, None])[:, :, None]
        light = np.where(inside & ~mask[at], image[at], 0) * np.exp(-(dx**2 + dy**2) / (2 * weight))
        total = light.sum(axis=(1, 2))
        total[total <= 0] = np.nan
        for k, product in enumerate((dx * dx, dy * dy, dx * dy)):
            moments[k, part] = (light * product).sum(axis=(1, 2)) / total
    xx, yy, xy = moments
    half, difference = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return Shapes(half + difference, half - difference, weight)
