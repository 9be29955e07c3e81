"""Points that stand alone above the light curves of stars whose pixels hide a hit.

A cosmic ray on the core of a star narrower than two pixels looks like what its place within a pixel makes of it: pixels
do not tell hits of a few per cent. A ring out of focus has edges and bright arcs, which a smooth kernel carries from
frame to frame by a few per cent only. Time tells: one frame is brighter, those beside it are not. So it is with a flare
shorter than a frame. The point stays; its error says that either may be.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves

UNDERSAMPLED_FWHM = 2.2  # px, as frames show it
OUT_OF_FOCUS_FWHM = 7.0  # px, the diameter that holds half of the light
BESIDE = 4  # usable points, two before and two after where there are so many, that tell what was to be expected
SPIKE_SIGMA = 3.5  # of the difference: 1 of 4,000 points by noise, whose errors then grow for nothing
MOST_SPIKES = 0.05  # of a star's points; with more it is the star that is so
MEDIAN_NOISE = 0.55  # of four points, over that of one


def hits_may_hide(fwhm: float) -> bool:
    """Whether the pixels of stars of this FWHM (px; NaN where unknown) may hide a hit."""
    return fwhm < UNDERSAMPLED_FWHM or fwhm > OUT_OF_FOCUS_FWHM


def spikes(curves: LightCurves) -> NDArray[np.float64]:
    """How far each point stands alone above those beside it, float64[n, t]; 0 where it does not."""
    flux, error = curves.flux, curves.error
    height = np.zeros(flux.shape)
    told = curves.usable & curves.good & np.isfinite(error)
    for star in np.flatnonzero(told.sum(axis=1) > BESIDE):
        at = np.flatnonzero(told[star])
        height[star, at] = _of_star(flux[star, at], error[star, at])
    return height


def _of_star(flux: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    points = np.arange(flux.size)
    window = np.clip(points - BESIDE // 2, 0, flux.size - BESIDE - 1)[:, None] + np.arange(BESIDE + 1)
    beside = np.where(window == points[:, None], np.nan, flux[window])
    highest, lowest = np.nanmax(beside, axis=1), np.nanmin(beside, axis=1)
    above = flux - np.nanmedian(beside, axis=1)
    spike = above > SPIKE_SIGMA * np.hypot(1, MEDIAN_NOISE) * error
    spike &= flux - highest > highest - lowest  # of a flare, or a trend, the points beside it differ too
    if np.count_nonzero(spike) > max(1, MOST_SPIKES * flux.size):
        return np.zeros(flux.size)
    return np.where(spike, above, 0.0)
