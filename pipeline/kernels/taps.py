"""Stamps of a template seen through small kernels: sums of what is beside each pixel, and their products."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import SIZE, Kernel, array

REGISTER = 8  # values that the kernels look at in one go
_FLOATS = array(np.float32)
_ADD_TAPS = Kernel("add_taps", _FLOATS, SIZE, SIZE, SIZE, SIZE, SIZE, _FLOATS, _FLOATS, _FLOATS)
_TAP_GRAMS = Kernel("tap_grams", _FLOATS, SIZE, SIZE, SIZE, SIZE, SIZE, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _FLOATS)

Floats = NDArray[np.float32]


def with_taps(light: Floats, stamps: Floats, weights: Floats) -> Floats:
    """Light and, with the weights of each stamp, what the template has beside each pixel: float32[n, h, w].

    light: float32[n, h, w]; stamps: float32[n, h + 2 b, w + 2 b], finite; weights: float32[n, k, k], k odd and at most
    2 b + 1: of the pixels about a pixel, row by row.
    """
    total, weights = light.copy(), np.ascontiguousarray(weights)
    _ADD_TAPS(stamps, *_geometry(stamps, light, weights.shape[1] // 2), weights, _work(stamps, 2), total)
    return total


def with_taps_reference(light: Floats, stamps: Floats, weights: Floats) -> Floats:
    """`with_taps` by NumPy."""
    taps = _taps(stamps, light, weights.shape[1] // 2)
    return np.asarray(light + np.einsum("nk,nkhw->nhw", weights.reshape(len(weights), -1), taps), np.float32)


def tap_grams(stamps: Floats, weights: Floats, right: Floats, reach: int) -> tuple[Floats, Floats]:
    """Weighted products of what the template has beside each pixel, with one another and with ``right``, summed.

    stamps: float32[n, h + 2 b, w + 2 b], finite; weights, right: float32[n, h, w], finite; reach: of the pixels beside,
    at most b. Returns float32[n, k, k] and float32[n, k], k = (2 reach + 1)²: normal equations for each stamp.
    """
    taps = (2 * reach + 1) ** 2
    grams, sums = np.empty((len(stamps), taps, taps), np.float32), np.empty((len(stamps), taps), np.float32)
    pixels = np.ascontiguousarray(weights), np.ascontiguousarray(right)
    _TAP_GRAMS(stamps, *_geometry(stamps, weights, reach), *pixels, _work(stamps, 4), grams, sums)
    return grams, sums


def tap_grams_reference(stamps: Floats, weights: Floats, right: Floats, reach: int) -> tuple[Floats, Floats]:
    """`tap_grams` by NumPy."""
    taps = _taps(stamps, weights, reach)
    weighted = taps * weights[:, None]
    return np.einsum("nahw,nbhw->nab", weighted, taps), np.einsum("nahw,nhw->na", weighted, right)


def _geometry(stamps: Floats, inner: Floats, reach: int) -> tuple[int, int, int, int, int]:
    number, high, wide = inner.shape
    return number, high, wide, (stamps.shape[1] - high) // 2, reach


def _work(stamps: Floats, parts: int) -> Floats:
    return np.empty(parts * (stamps.shape[1] * stamps.shape[2] + REGISTER), np.float32)


def _taps(stamps: Floats, inner: Floats, reach: int) -> Floats:
    """The template beside each pixel, float32[n, (2 reach + 1)², h, w]."""
    _, high, wide, border, _ = _geometry(stamps, inner, reach)
    places = range(border - reach, border + reach + 1)
    return np.stack([stamps[:, y : y + high, x : x + wide] for y in places for x in places], axis=1)
