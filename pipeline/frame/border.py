"""Rows and columns at a border that answer unlike the rest: read-out ramps, overscan that was left in, glow."""

import numpy as np
from numpy.typing import NDArray

DEPTH_PX = 16  # looked at from the border; at most an eighth of the side
BESIDE_PX = 16  # rows further in that tell what is usual; half as many in narrow windows
STEP_RMS = 0.3  # of a pixel's noise: such a step biases a small aperture by about its noise
STEP_SIGMA = 5.0  # of a row's median
MEDIAN_NOISE = 1.25  # of a median of many pixels, over that of their mean
SAMPLE = 320  # pixels of a row that are looked at
LEAST_SAMPLE = 120  # of them; a star's halo may cover a shorter row, as at the ends of a narrow window
QUANTILES = (0.2, 0.5, 0.8)  # all step the same way: a star's halo never covers so much of a row


def mask_odd_borders(image: NDArray[np.float32], rms: float) -> NDArray[np.bool_] | None:
    """Pixels of border rows and columns whose level steps away from that further in; None where there are none.

    A smooth gradient of the sky is no step: the sky beside each star follows it. On one real camera without bias frames
    the lowest rows lay 64, 33, 19, 12 and 7 ADU low at 8 ADU of noise, and usable points near them were wrong by up to
    50 errors.

    Args:
        image: float32[ny, nx], sky subtracted, NaN where unknown.
        rms: noise of a sky pixel.

    Returns:
        bool[ny, nx] or None.
    """
    ny, nx = image.shape
    low, high = _odd_rows(image, rms), _odd_rows(image[::-1], rms)
    left, right = _odd_rows(image.T, rms), _odd_rows(image.T[::-1], rms)
    if not (low or high or left or right):
        return None
    mask = np.ones((ny, nx), np.bool_)
    mask[low : ny - high, left : nx - right] = False
    return mask


def _odd_rows(image: NDArray[np.float32], rms: float) -> int:
    """How many of the first rows step away from those beyond them."""
    depth = min(DEPTH_PX, image.shape[0] // 8)
    beside = min(BESIDE_PX, image.shape[0] // 4)
    rows = image[: depth + beside, :: max(1, image.shape[1] // SAMPLE)]
    known = np.isfinite(rows).sum(axis=1)
    usable = known >= LEAST_SAMPLE
    if depth == 0 or not usable[depth:].any():
        return 0
    in_order = np.sort(rows, axis=1)  # NaN is last
    levels = np.array([in_order[np.arange(len(rows)), (known * share).astype(np.intp)] for share in QUANTILES])
    step = levels[:, :depth] - np.median(levels[:, depth:][:, usable[depth:]], axis=1)[:, None]
    step[:, ~usable[:depth]] = np.nan
    noise = MEDIAN_NOISE * rms / np.sqrt(np.maximum(known[:depth], 1))
    least = np.maximum(STEP_RMS * rms, STEP_SIGMA * noise)
    odd = (step > least).all(axis=0) | (step < -least).all(axis=0)
    return int(np.argmin(np.append(odd, False)))
