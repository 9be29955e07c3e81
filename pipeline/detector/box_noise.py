"""Noise in boxes of two frames of like light: their differences hold no fixed pattern and no gradient."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.statistics import MAD_TO_SIGMA, medians_of_rows

BOX_PX = 32  # side of a box in which both flats count as evenly lit
SAMPLE_PX = 1 << 20  # of a flat that are looked at: they give the gain to 0.3 % for each pair
CLIP_SIGMA = 5.0  # cosmic rays, the rims of stars in a twilight flat; takes less than 1e-5 of the variance
CLIP_ROUNDS = 4  # the first is by the median deviation, which rounding to whole numbers makes coarse
BOX_CLIP_SIGMA = 4.0  # boxes with what the clip left

Floats = NDArray[np.float64]


def box_pairs(first: NDArray[Any], second: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Mean levels a, b of each box and the variance of first − (a/b) second in it: float64[boxes], good boxes only.

    The variance is that of 2 × 2 checkers, ``(d00 − d01 − d10 + d11) / 2``, which no gradient of the light changes.
    Hot and dead pixels do not count: charge that is no light does not go with the lamp, and stays in the difference.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise UnusableDataError(f"flats of shapes {first.shape} and {second.shape}: expected two images of one shape")
    if min(first.shape) < BOX_PX:
        return np.empty(0), np.empty(0), np.empty(0)
    a, b = as_boxes(first), as_boxes(second)
    usual = _usual(a + b)
    level_a, level_b = (np.asarray(one.mean(axis=(1, 2), dtype=np.float64, where=usual)) for one in (a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = a - (level_a / level_b).astype(np.float32)[:, None, None] * b
    difference[~usual] = np.nan
    variance = clipped_variance(checkers(difference))
    good = (level_a > 0) & (level_b > 0) & (variance > 0)
    return level_a[good], level_b[good], variance[good]


def _usual(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool like float32[boxes, BOX_PX, BOX_PX]: pixels that do not stand out of their box."""
    flat = boxes.reshape(len(boxes), -1)
    away = np.abs(flat - medians_of_rows(flat)[:, None])
    usual = ~np.asarray(away > CLIP_SIGMA * MAD_TO_SIGMA * medians_of_rows(away)[:, None])
    return usual.reshape(boxes.shape)


def checkers(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[boxes, BOX_PX² / 4]: of 2 × 2 pixels each, with the variance of one pixel and no gradient."""
    found = boxes[:, ::2, ::2] - boxes[:, ::2, 1::2] - boxes[:, 1::2, ::2] + boxes[:, 1::2, 1::2]
    return np.asarray(found.reshape(len(found), -1) / np.float32(2.0))


def as_boxes(image: NDArray[Any]) -> NDArray[np.float32]:
    """float32[boxes, BOX_PX, BOX_PX], of large images those of evenly spaced bands; boxes with NaN give NaN."""
    bands, columns = image.shape[0] // BOX_PX, image.shape[1] // BOX_PX
    cut = image[: bands * BOX_PX, : columns * BOX_PX].reshape(bands, BOX_PX, columns, BOX_PX)
    cut = cut[:: max(1, image.size // SAMPLE_PX)]
    return np.asarray(cut.swapaxes(1, 2).reshape(-1, BOX_PX, BOX_PX), dtype=np.float32)


def clipped_variance(values: NDArray[np.float32], least_sigma: float = 0.0) -> Floats:
    """Variance of each row of float32[b, m] about zero, without NaN and values beyond 5 sigma.

    ``least_sigma``: of counts so coarse that most are the same and their median deviation is 0.
    """
    # The first scale is robust: one cosmic ray in a box would hide itself in a plain one.
    sigma = MAD_TO_SIGMA * _median_of_rows(np.abs(values))
    sigma = np.maximum(sigma, np.float32(least_sigma))
    square = np.square(values)
    for _ in range(CLIP_ROUNDS):
        kept = square <= np.square(CLIP_SIGMA * sigma)[:, None]
        sigma = np.sqrt(np.where(kept, square, 0.0).sum(axis=1) / np.maximum(kept.sum(axis=1), 1))
    return np.asarray(np.square(sigma), dtype=np.float64)


def _median_of_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """As numpy's, where there are NaN without them; those of a row of nothing else stay."""
    found = medians_of_rows(values)
    some = np.isnan(found) & ~np.isnan(values).all(axis=1)
    found[some] = np.nanmedian(values[some], axis=1)
    return np.asarray(found)


def without_outliers(values: Floats) -> NDArray[np.bool_]:
    """bool[n] of float64[n]: what is no outlier among them."""
    centre = np.median(values)
    return np.asarray(np.abs(values - centre) <= BOX_CLIP_SIGMA * MAD_TO_SIGMA * np.median(np.abs(values - centre)))
