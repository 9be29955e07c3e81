"""Points that stand alone above the light curves of stars whose pixels hide a hit.

A cosmic ray on the core of a star narrower than two pixels looks like what its place within a pixel makes of it: pixels
do not tell hits of a few per cent. A ring out of focus has edges and bright arcs, which a smooth kernel carries from
frame to frame by a few per cent only. Time tells: one frame is brighter, those beside it are not. So it is with a flare
shorter than a frame. The point stays; its error says that either may be.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves

Floats = NDArray[np.float64]

UNDERSAMPLED_FWHM = 2.2  # px, as frames show it
OUT_OF_FOCUS_FWHM = 7.0  # px, the diameter that holds half of the light
BESIDE = 4  # usable points, two before and two after where there are so many, that tell what was to be expected
SPIKE_SIGMA = 3.5  # of the difference: 1 of 4,000 points by noise, whose errors then grow for nothing
MOST_SPIKES = 0.05  # of a star's points; with more it is the star that is so
MEDIAN_NOISE = 0.55  # of four points, over that of one


def hits_may_hide(fwhm: float) -> bool:
    """Whether the pixels of stars of this FWHM (px; NaN where unknown) may hide a hit."""
    return fwhm < UNDERSAMPLED_FWHM or fwhm > OUT_OF_FOCUS_FWHM


def spikes(curves: LightCurves) -> Floats:
    """How far each point stands alone above those beside it, float64[n, t]; 0 where it does not."""
    height = np.zeros(curves.flux.shape)
    for rows, block in curves.blocks():
        told = block.usable & block.good & np.isfinite(block.error)
        enough = np.flatnonzero(told.sum(axis=1) > BESIDE)
        if enough.size:
            height[rows][enough] = _of_stars(block.flux[enough], block.error[enough], told[enough])
    return height


def _of_stars(flux: Floats, error: Floats, told: NDArray[np.bool_]) -> Floats:
    """The same, of stars that each have more than BESIDE points that tell."""
    number = told.sum(axis=1, keepdims=True)
    points = np.arange(flux.shape[1])
    frames = np.argsort(~told, axis=1, kind="stable")  # those that tell first, in order of time
    flux, error = (np.take_along_axis(values, frames, axis=1) for values in (flux, error))
    first = np.clip(points - BESIDE // 2, 0, number - BESIDE - 1)
    window = first[:, :, None] + np.arange(BESIDE + 1)
    beside = np.take_along_axis(flux, window.reshape(len(flux), -1), axis=1).reshape(window.shape)
    beside[window == points[:, None]] = np.inf
    beside = np.sort(beside, axis=2)[:, :, :BESIDE]  # without the point itself
    lowest, highest = beside[:, :, 0], beside[:, :, -1]
    above = flux - beside[:, :, BESIDE // 2 - 1 : BESIDE // 2 + 1].mean(axis=2)
    with np.errstate(invalid="ignore"):
        spike = (points < number) & (above > SPIKE_SIGMA * np.hypot(1, MEDIAN_NOISE) * error)
        spike &= flux - highest > highest - lowest  # of a flare, or a trend, the points beside it differ too
    spike &= spike.sum(axis=1, keepdims=True) <= np.maximum(1, MOST_SPIKES * number)
    height = np.zeros(flux.shape)
    np.put_along_axis(height, frames, np.where(spike, above, 0.0), axis=1)
    return height
