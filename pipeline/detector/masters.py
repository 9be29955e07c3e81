"""Master calibration images: mean of bias or dark frames, read noise, and the master flat."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.readout import RawPixels
from pipeline.errors import UnusableDataError
from pipeline.kernels.piles import (
    add_scaled,
    add_scaled_reference,
    mean_and_scatter,
    pile_clipped,
    pile_means,
    pile_means_reference,
    pile_medians,
)
from pipeline.statistics import MAD_TO_SIGMA, median_of

FlatMethod = Literal["mode", "clipped_mean"]
Frame = NDArray[Any] | RawPixels  # of a RawPixels the signal is made when it is looked at, a few rows at a time

FLAT_BLOCK_ROWS = 64  # rows; 100 flats of 2048 columns take 52 MB a block
FLAT_READ_VALUES = 50 * FLAT_BLOCK_ROWS * 2048  # of all flats, in memory at once
FLAT_MINIMUM_RESPONSE = 0.1  # of the mean; a pixel below it is vignetted or dead
FLAT_CLIP_SIGMA = 3.5  # times the scatter of a flat about the median flat
COMBINE_CLIP_SIGMA = 5.0  # above the others; nothing but a cosmic ray or a flickering pixel gets there
COMBINE_CLIP_FRAMES = 3  # of two values nobody knows which is the wrong one
CLIP_VALUES = 1 << 18  # of all frames, that are looked at together: they stay in the processor's cache
NOISE_SAMPLE_STEP = 4  # each fourth row and column tell the noise of a frame
NOISE_CLIP_SIGMA = 5.0  # leaves out cosmic rays, moves the rms of Gaussian noise by less than 1e-5
NOISE_PIXELS = 1 << 20  # of a frame, for its noise
CLIP_SAMPLE = 1 << 14  # pixels of a block that give the scatter of one flat, to 1 %
NOISE_CLIP_ROUNDS = 10
GAUSSIAN_90_HALF_WIDTH = 1.6449  # sigma from the median to the 95th percentile


def combine_mean(images: Iterable[NDArray[Any]], weights: Sequence[float]) -> NDArray[np.float32]:
    """Weighted mean of bias or dark images, one image in memory at a time.

    images: real[ny, nx] each, ADU; weights: one positive number an image (frames already averaged in it), so that a
    tree of means equals the mean of all frames. Returns float32[ny, nx]; a pixel that is NaN in any image is NaN.
    Raises UnusableDataError for no image, unlike shapes, or weights that do not fit.
    """
    total: NDArray[np.float64] | None = None
    count = 0
    for image in images:
        if count >= len(weights):
            raise UnusableDataError(f"more images than the {len(weights)} weights given: give one weight an image")
        weight = weights[count]
        if not (np.isfinite(weight) and weight > 0):
            raise UnusableDataError(f"image {count} has weight {weight}, expected a positive number: leave it out")
        if total is None:
            total = np.zeros(image.shape, np.float64)
        elif image.shape != total.shape:
            raise UnusableDataError(
                f"image {count} has shape {image.shape}, the images before it {total.shape}: combine one binning only"
            )
        for row in range(0, total.shape[0], FLAT_BLOCK_ROWS):  # a product of the whole image would be one copy more
            block = slice(row, row + FLAT_BLOCK_ROWS)
            add = add_scaled if image.dtype == np.float32 else add_scaled_reference
            add(total[block], np.ascontiguousarray(image[block]), weight)
        count += 1
    if total is None:
        raise UnusableDataError("no image to combine, expected at least one: check which frames were registered")
    if count != len(weights):
        raise UnusableDataError(f"{count} images for {len(weights)} weights: give one weight an image")
    mean, divisor = np.empty(total.shape, np.float32), float(np.sum(weights))
    for row in range(0, total.shape[0], FLAT_BLOCK_ROWS):
        block = slice(row, row + FLAT_BLOCK_ROWS)
        np.divide(total[block], divisor, out=mean[block], dtype=np.float64, casting="same_kind")
    return mean


def combine_clipped(frames: Sequence[Frame]) -> NDArray[np.float32]:
    """Mean of a few bias or dark frames without the one value in a pixel that stands far above the others.

    frames: real[ny, nx] each, ADU. A cosmic ray that stays in a master dark is a hole in every calibrated frame: one of
    10,000 electrons in one of five darks took 1 % of a star of magnitude 12 while it drifted across. The highest value
    is left out when it exceeds the mean of the others by 5 sigma, sigma being the frames' noise or the scatter of the
    others, if that is more (hot pixels). Fewer than three frames are averaged as they are. Returns float32[ny, nx].
    Raises UnusableDataError for no frame or unlike shapes.
    """
    number = len(frames)
    if not frames or any(frame.shape != frames[0].shape for frame in frames):
        return combine_mean([frame[...] for frame in frames], [1.0] * number)  # which says what is wrong
    noise = math.inf  # nothing stands out of it
    if number >= COMBINE_CLIP_FRAMES:
        noise = read_noise([frame[::NOISE_SAMPLE_STEP, ::NOISE_SAMPLE_STEP] for frame in frames])
    mean: NDArray[np.float32] = np.empty(frames[0].shape, np.float32)
    rows = max(1, CLIP_VALUES // max(1, number * mean.shape[1]))
    for start in range(0, len(mean), rows):
        block = slice(start, start + rows)
        parts = [frame[block] for frame in frames]
        if all(np.can_cast(part.dtype, np.float32) for part in parts):
            mean[block] = pile_means(np.stack(parts, dtype=np.float32), noise, COMBINE_CLIP_SIGMA)
        else:  # numbers of more digits than the kernel has
            mean[block] = pile_means_reference(np.stack(parts, dtype=np.float64), noise, COMBINE_CLIP_SIGMA)
    return mean


def read_noise(frames: Sequence[Frame]) -> float:
    """Read noise in ADU rms from the differences of consecutive bias frames; NaN for fewer than two frames.

    frames: real[ny, nx] each, ADU. A difference holds the noise of two frames and no fixed pattern; pixels further
    than 5 sigma from its median (cosmic rays, flickering pixels) are left out. Median over the pairs. Of large frames
    every few rows are looked at: a million pixels give the noise to 0.1 %.
    """
    step = max(1, math.prod(frames[0].shape) // NOISE_PIXELS) if len(frames) else 1
    sampled = [frame[::step] for frame in frames]
    pairs = [_clipped_rms(np.subtract(b, a, dtype=np.float32)) / np.sqrt(2.0) for a, b in pairwise(sampled)]
    return float(np.median(pairs)) if pairs else float("nan")


def _clipped_rms(values: NDArray[np.float32]) -> float:
    kept = values[np.isfinite(values)]
    if kept.size == 0:
        return float("nan")
    kept.sort()  # of float32 it takes a tenth of the time in which `numpy.percentile` finds the same
    place = np.array([0.05, 0.5, 0.95]) * (kept.size - 1)
    below, above = (kept[edge(place).astype(np.intp)].astype(np.float64) for edge in (np.floor, np.ceil))
    low, centre, high = (below + (above - below) * (place % 1)).tolist()
    _, scatter = mean_and_scatter(kept, centre)
    # Quantised noise below 1 ADU may leave both percentiles at the same integer.
    spread = (high - low) / (2 * GAUSSIAN_90_HALF_WIDTH) or scatter
    for _ in range(NOISE_CLIP_ROUNDS):
        limit = NOISE_CLIP_SIGMA * spread
        inside = kept[bisect_left(kept, centre - limit) : bisect_right(kept, centre + limit)]
        if inside.size == kept.size or inside.size == 0:
            break
        kept, (centre, spread) = inside, mean_and_scatter(inside, centre)
        scatter = spread
    return scatter


def combine_flat(
    read_rows: Callable[[int, slice], NDArray[Any]],
    means: Sequence[float],
    shape: tuple[int, int],
    method: FlatMethod = "clipped_mean",
    block_rows: int = FLAT_BLOCK_ROWS,
    read_values: int = FLAT_READ_VALUES,
) -> NDArray[np.float32]:
    """Master flat from debiased flats, in blocks of rows so that memory does not grow with the image.

    read_rows(i, rows) gives real[rows, nx] of debiased flat i in ADU; means: mean level of each flat in ADU; shape:
    (ny, nx). Each flat is divided by its mean. ``mode`` is the Tianyu paper's master flat, Pearson's 3·median − 2·mean
    with the mean weighted by the flats' means; ``clipped_mean`` is that weighted mean without the values that lie
    3.5 sigma from the median, sigma measured for each flat and block.

    At most ``read_values`` values are in memory at once, or those of one block.

    Returns float32[ny, nx] of mean 1; pixels that are not finite or have at most 0.1 of the mean response are NaN.
    Raises UnusableDataError when there is no flat, a mean is not positive, or no usable pixel is left.
    """
    if not means:
        raise UnusableDataError("no flat to combine, expected at least one: check which flats were registered")
    for i, mean in enumerate(means):
        if not (np.isfinite(mean) and mean > 0):
            raise UnusableDataError(f"flat {i} has mean {mean} ADU above the bias, expected more than 0: leave it out")
    master = np.empty(shape, np.float32)
    combine = _mode if method == "mode" else _clipped_mean
    weights = np.asarray(means, np.float32) / np.float32(np.sum(means))
    # A file is opened for every read: few flats give several blocks at a time.
    blocks = max(1, read_values // (len(means) * block_rows * shape[1]))
    for start in range(0, shape[0], blocks * block_rows):
        rows = slice(start, min(start + blocks * block_rows, shape[0]))
        flats = [read_rows(i, rows) for i in range(len(means))]
        for i, values in enumerate(flats):
            if values.shape != (rows.stop - start, shape[1]):
                expected = (rows.stop - start, shape[1])
                raise UnusableDataError(f"flat {i} gave rows of shape {values.shape}, expected {expected}")
        for first in range(0, rows.stop - start, block_rows):
            block = np.empty((len(means), min(block_rows, rows.stop - start - first), shape[1]), np.float32)
            for scaled, values, mean in zip(block, flats, means, strict=True):
                np.divide(values[first : first + block_rows], mean, out=scaled, casting="unsafe")
            master[start + first : start + first + block.shape[1]] = combine(block, weights)
    return _normalise(master)


def _mode(block: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    # A pixel that is NaN in one flat is NaN in both terms: flats share their dead pixels.
    result: NDArray[np.float32] = 3 * pile_medians(block) - 2 * np.tensordot(weights, block, axes=1)
    return result


def _clipped_mean(block: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    median = pile_medians(block)
    step = max(1, median.size // CLIP_SAMPLE)
    centres, limits = np.empty((2, len(block)), np.float32)
    for i, flat in enumerate(block):
        sample = flat.ravel()[::step] - median.ravel()[::step]
        # Of an odd number of flats one is the median itself in each pixel, and tells nothing of the scatter: with these
        # zeros the clip was so narrow that the noise of the master of three flats was 1.23 times that of their mean.
        finite = sample[np.isfinite(sample) & (sample != 0)]
        # Few flats give no useful scatter of one pixel; the block's pixels give that of one flat.
        centre = median_of(finite) if finite.size else 0.0
        sigma = MAD_TO_SIGMA * median_of(np.abs(finite - centre)) if finite.size else 0.0
        centres[i], limits[i] = centre, max(FLAT_CLIP_SIGMA * sigma, float(np.finfo(np.float32).eps))
    return pile_clipped(block, median, weights, centres, limits)


def _normalise(master: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = _mean_above(master, -np.inf)
    if not mean > 0:
        raise UnusableDataError(f"the master flat has mean {mean}, expected 1: check the flats and their bias")
    least = np.float32(FLAT_MINIMUM_RESPONSE * mean)
    usable = np.float32(_mean_above(master, float(least)))
    for start in range(0, len(master), FLAT_BLOCK_ROWS):
        rows = master[start : start + FLAT_BLOCK_ROWS]
        rows[~(np.isfinite(rows) & (rows > least))] = np.nan
        rows /= usable
    return master


def _mean_above(image: NDArray[np.float32], least: float) -> float:
    """Of the finite pixels above a level; NaN of none."""
    total, number = 0.0, 0
    for start in range(0, len(image), FLAT_BLOCK_ROWS):
        rows = image[start : start + FLAT_BLOCK_ROWS]
        some = rows[np.isfinite(rows) & (rows > least)]
        total, number = total + float(some.sum(dtype=np.float64)), number + some.size
    return total / number if number else float("nan")
