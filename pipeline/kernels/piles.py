"""Piles of images: medians and means of each pixel, without what stands out."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import DOUBLE, REAL, SIZE, Kernel, array
from pipeline.kernels.sorting_network import comparisons

CHUNK = 256  # pixels of a pile that the kernels look at together
Floats = NDArray[np.float32]

_FLOATS, _DOUBLES = array(np.float32), array(np.float64)
_PILE_MEDIANS = Kernel("pile_medians", _FLOATS, SIZE, SIZE, array(np.int32), SIZE, _FLOATS, _FLOATS)
_PILE_CLIPPED = Kernel("pile_clipped", _FLOATS, SIZE, SIZE, *[_FLOATS] * 6)
_PILE_MEANS = Kernel("pile_means", _FLOATS, SIZE, SIZE, REAL, REAL, REAL, _DOUBLES, _FLOATS, _FLOATS, _FLOATS)
_ADD_SCALED = Kernel("add_scaled", _DOUBLES, _FLOATS, SIZE, DOUBLE)
_SUMS_ABOUT = Kernel("sums_about", _FLOATS, SIZE, DOUBLE, _DOUBLES)


@cache
def _network(n: int) -> NDArray[np.int32]:
    return np.array(list(comparisons(n)), np.int32).reshape(-1, 2)


def pile_medians(pile: Floats) -> Floats:
    """Median of each pixel, NaN where one of its values is.

    pile: float32[n, ny, nx], contiguous. Returns float32[ny, nx].
    """
    median, pairs = np.empty(pile.shape[1:], np.float32), _network(len(pile))
    _PILE_MEDIANS(pile, len(pile), median.size, pairs, len(pairs), np.empty((len(pile), CHUNK), np.float32), median)
    return median


def pile_medians_reference(pile: Floats) -> Floats:
    """`pile_medians` by NumPy."""
    return np.asarray(np.median(pile, axis=0), np.float32)


def pile_clipped(pile: Floats, median: Floats, weights: Floats, centres: Floats, limits: Floats) -> Floats:
    """Weighted mean of the values of each pixel that are near its median; the median where none is.

    pile: float32[n, ny, nx], contiguous; median: float32[ny, nx]; weights: float32[n]; centres, limits: float32[n], of
    what each image has above the median: what is further from the centre than the limit is left out.
    """
    mean, work = np.empty_like(median), np.empty(CHUNK, np.float32)
    _PILE_CLIPPED(pile, len(pile), median.size, median, weights, centres, limits, work, mean)
    return mean


def pile_clipped_reference(pile: Floats, median: Floats, weights: Floats, centres: Floats, limits: Floats) -> Floats:
    """`pile_clipped` by NumPy."""
    total, weight = np.zeros_like(median), np.zeros_like(median)
    for image, share, centre, limit in zip(pile, weights, centres, limits, strict=True):
        kept = np.abs(image - median - centre) <= limit
        total += np.where(kept, image * share, 0)
        weight += kept * share
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 0, total / weight, median)


def pile_means(pile: Floats, noise: float, clip: float) -> Floats:
    """Mean of each pixel without the one value that exceeds the mean of the others by so many sigma.

    sigma is the noise or the scatter of the others, if that is more. pile: float32[n, ny, nx], contiguous; noise: of a
    pixel, infinite where nothing is to be left out.
    """
    number, mean = len(pile), np.empty(pile.shape[1:], np.float32)
    work = np.empty(CHUNK), np.empty(CHUNK, np.float32), np.empty(number, np.float32)
    _PILE_MEANS(pile, number, mean.size, clip * noise * (number - 1) / number, noise, clip, *work, mean)
    return mean


def pile_means_reference(pile: NDArray[np.floating], noise: float, clip: float) -> Floats:
    """`pile_means` by NumPy, of numbers of any precision."""
    number, mean = len(pile), np.asarray(pile.mean(axis=0, dtype=np.float64), np.float32)
    values = pile.astype(np.float32)
    highest = values.max(axis=0)
    where = np.nonzero(highest - mean > clip * noise * (number - 1) / number)
    if not where[0].size:
        return mean
    others = np.ascontiguousarray(
        np.sort(values[:, where[0], where[1]], axis=0)[:-1]
    )  # summed in the order of their size
    without = others.mean(axis=0)
    sigma = np.maximum(np.float32(noise), others.std(axis=0, ddof=1))
    mean[where] = np.where(highest[where] - without > clip * sigma, without, mean[where])
    return mean


def add_scaled(total: NDArray[np.float64], image: Floats, weight: float) -> None:
    """Add, IN PLACE, an image times its weight: float64 and float32[ny, nx], contiguous."""
    _ADD_SCALED(total, image, total.size, weight)


def add_scaled_reference(total: NDArray[np.float64], image: NDArray[np.floating], weight: float) -> None:
    """`add_scaled` by NumPy, of numbers of any precision."""
    total += np.multiply(image, weight, dtype=np.float64)


def mean_and_scatter(values: Floats, middle: float) -> tuple[float, float]:
    """Mean and standard deviation of float32[n], contiguous, n > 0; ``middle``: a number near the mean."""
    sums = np.empty(2)
    _SUMS_ABOUT(values, values.size, middle, sums)
    away, square = sums / values.size
    return middle + float(away), float(np.sqrt(max(square - away**2, 0.0)))


def mean_and_scatter_reference(values: Floats, middle: float) -> tuple[float, float]:
    """`mean_and_scatter` by NumPy."""
    del middle
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
