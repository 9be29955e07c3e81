"""Clipped means of the pixels in an annulus around each source, and which pixels belong to stars."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import DOUBLE, REAL, SIZE, Kernel, array

CLIP_SIGMA = 3.0
CLIP_PASSES = 4  # the first centre is off by 0.2 sigma at most, and each pass divides what is left by 40
START_PIXELS = 64  # of the annulus, evenly spread: enough for the first centre, eight times faster than all of them
QUARTILES_SIGMA = np.float32(1.349)  # between the quartiles of a Gaussian
DENSITY = np.exp(-0.5 * CLIP_SIGMA**2) / np.sqrt(2.0 * np.pi)  # of a unit Gaussian at the clip
KEPT = 1.0 - 2.7e-3  # of a Gaussian within 3 sigma
CLIPPED_VARIANCE = 1.0 - 2.0 * CLIP_SIGMA * DENSITY / KEPT  # of a unit Gaussian cut at the clip

LANES = 8  # values that the kernel looks at in one go
EXPECTED_RUNS = 1 << 15  # of bright pixels, for which there is room at first
_BYTES, _FLOATS, _DOUBLES, _WHOLE = (array(dtype) for dtype in (np.uint8, np.float32, np.float64, np.int64))
_BRIGHT_RUNS = Kernel("bright_runs", _FLOATS, SIZE, SIZE, REAL, SIZE, _WHOLE, SIZE, _WHOLE, _WHOLE)
_STAR_PIXELS = Kernel("star_pixels", _FLOATS, SIZE, SIZE, REAL, _WHOLE, SIZE, _WHOLE, SIZE, SIZE, _BYTES)
_ANNULUS_MEANS = Kernel(
    "annulus_means",
    *(_FLOATS, SIZE, SIZE, _BYTES, _WHOLE, SIZE, _WHOLE, SIZE, SIZE, SIZE, REAL, REAL, DOUBLE, SIZE),
    *(_FLOATS, _FLOATS, _DOUBLES, _DOUBLES, _WHOLE),
)

Whole = NDArray[np.int64]
Means = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def bright_runs(image: NDArray[np.float32], limit: float) -> tuple[Whole, Whole]:
    """Pixels beside one another in a row that are not at or below a limit, and those without a value among them.

    image: float32[ny, nx], contiguous. Returns int64[runs, 2], the first one's flat index and how many they are, and
    int64[m], flat indices; both ascending. One pass through the image finds what many would.
    """
    room = np.array([EXPECTED_RUNS, EXPECTED_RUNS])
    while True:
        runs, missing, found = np.empty((room[0], 2), np.int64), np.empty(room[1], np.int64), np.empty(2, np.int64)
        _BRIGHT_RUNS(image, *image.shape, limit, room[0], runs, room[1], missing, found)
        if (found <= room).all():
            return runs[: found[0]].copy(), missing[: found[1]].copy()
        room = found


def bright_runs_reference(image: NDArray[np.float32], limit: float) -> tuple[Whole, Whole]:
    """`bright_runs` by NumPy."""
    bright = np.pad(~(image <= np.float32(limit)), ((0, 0), (1, 1))).astype(np.int8)
    row, first = np.nonzero(np.diff(bright, axis=1) > 0)
    _, end = np.nonzero(np.diff(bright, axis=1) < 0)
    return np.column_stack([row * image.shape[1] + first, end - first]), np.flatnonzero(np.isnan(image))


def star_pixels(
    image: NDArray[np.float32], runs: Whole, places: Whole, limit: float, half_width: int
) -> NDArray[np.bool_]:
    """Pixels within half a width, in x and in y, of those of runs above a limit or of places: bool[ny, nx].

    image: float32[ny, nx], contiguous; runs: int64[n, 2], of `bright_runs`; places: int64[m, 2], (row, column), in the
    image; half_width: px.
    """
    mask = np.zeros(image.shape, np.bool_)
    where = np.ascontiguousarray(runs), len(runs), np.ascontiguousarray(places), len(places)
    _STAR_PIXELS(image, *image.shape, limit, *where, half_width, mask.view(np.uint8))
    return mask


def star_pixels_reference(
    image: NDArray[np.float32], runs: Whole, places: Whole, limit: float, half_width: int
) -> NDArray[np.bool_]:
    """`star_pixels` by NumPy."""
    within = np.zeros(image.size + 1, np.int64)
    within[runs[:, 0]] += 1
    within[runs.sum(axis=1)] -= 1
    mask = (np.cumsum(within[:-1]) > 0).reshape(image.shape) & (image > np.float32(limit))
    mask[tuple(places.T)] = True
    size = 2 * half_width + 1
    wide = np.pad(mask, half_width)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(wide, (size, size)).any(axis=(2, 3)))


def annulus_means(
    image: NDArray[np.float32],
    places: NDArray[np.int64],
    offsets: NDArray[np.int64],
    left_out: NDArray[np.uint8],
    least_sigma: float,
) -> Means:
    """Mean, standard deviation and number of the pixels around each place that 3 sigma keep.

    Args:
        image: float32[ny, nx]; NaN counts as left out.
        places: int64[n, 2], (row, column), in the image or not.
        offsets: int64[m, 2], of the pixels, from there.
        left_out: uint8[ny, nx], not 0 for pixels that are not to be used.
        least_sigma: the first clip is at least 3 of it wide.

    Returns:
        float64[n], float64[n], int64[n]; of none, 0 and the least sigma's remainder.
    """
    number, pixels, stride = len(places), len(offsets), _stride(offsets)
    level, rms, counts = np.empty(number), np.empty(number), np.empty(number, np.int64)
    work = np.empty(pixels + 2 * LANES, np.float32), np.empty(pixels // stride + 1 + LANES, np.float32)
    clip = CLIP_SIGMA, CLIPPED_VARIANCE, CLIP_PASSES
    order = np.argsort(places[:, 0], kind="stable")  # what is near in memory comes together: a fifth of the time less
    runs, reach = _runs(offsets), int(np.abs(offsets).max())
    where = places[order], number, runs, len(runs), reach, stride
    _ANNULUS_MEANS(image, *image.shape, left_out, *where, least_sigma, *clip, *work, level, rms, counts)
    back = np.argsort(order)
    return level[back], rms[back], counts[back]


def _runs(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels beside one another: int64[runs, 3], the first one's offset and how many they are."""
    apart = (np.diff(offsets[:, 0]) != 0) | (np.diff(offsets[:, 1]) != 1)
    first = np.flatnonzero(np.r_[True, apart])
    return np.column_stack([offsets[first], np.diff(np.r_[first, len(offsets)])])


def annulus_means_reference(
    image: NDArray[np.float32],
    places: NDArray[np.int64],
    offsets: NDArray[np.int64],
    left_out: NDArray[np.uint8],
    least_sigma: float,
) -> Means:
    """`annulus_means` by NumPy."""
    found = [_clipped(*_values(image, place + offsets, left_out), least_sigma) for place in places]
    level, rms, counts = (np.array(each) for each in zip(*found, strict=True))
    return level.astype(np.float64), rms.astype(np.float64), counts.astype(np.int64)


def _stride(offsets: NDArray[np.int64]) -> int:
    return max(1, len(offsets) // START_PIXELS)


def _values(
    image: NDArray[np.float32], pixels: NDArray[np.int64], left_out: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values that are used, and an even sample of them."""
    inside = np.all((pixels >= 0) & (pixels < image.shape), axis=1)
    y, x = np.where(inside[:, None], pixels, 0).T
    used = inside & (left_out[y, x] == 0) & ~np.isnan(image[y, x])
    drawn = used & (np.arange(len(pixels)) % _stride(pixels) == 0)
    return image[y, x][used], image[y, x][drawn]


def _clipped(values: NDArray[np.float32], sample: NDArray[np.float32], least_sigma: float) -> tuple[float, float, int]:
    sample = np.sort(sample)
    centre, sigma, kept = float(sample[sample.size // 2]) if sample.size else 0.0, least_sigma, values
    if sample.size > 3:  # quartiles of whole numbers can coincide: too wide a start costs only a pass
        quartiles = sample[sample.size * 3 // 4] - sample[sample.size // 4]
        sigma = max(float(quartiles / QUARTILES_SIGMA), least_sigma)
    for _ in range(CLIP_PASSES):
        kept = values[np.abs(values - np.float32(centre)) <= np.float32(CLIP_SIGMA * sigma)]
        if not kept.size:
            return centre, 0.0, 0
        centre, sigma = (
            float(kept.mean(dtype=np.float64)),
            float(kept.std(dtype=np.float64) / np.sqrt(CLIPPED_VARIANCE)),
        )
    return centre, sigma, kept.size
