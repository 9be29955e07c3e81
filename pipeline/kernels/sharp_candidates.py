"""Pixels that may be sharper than stars: all that stand out among their neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import REAL, SIZE, Kernel, array

EXPECTED_SHARE = 64  # of the pixels, one in so many may be found at first

FLOATS = array(np.float32)
_SHARP_CANDIDATES = Kernel(
    "sharp_candidates",
    *(FLOATS, SIZE, SIZE, REAL, REAL, REAL, SIZE),
    *(array(np.int64), FLOATS, FLOATS, array(np.bool_)),
    result=SIZE,
)


_FOLLOW_TRACKS = Kernel(
    "follow_tracks",
    *(FLOATS, SIZE, SIZE, array(np.int64), SIZE, REAL, REAL, REAL, array(np.uint8), array(np.int64)),
    result=SIZE,
)


@dataclass(frozen=True)
class SharpCandidates:
    """Pixels in order: flat indices int64[n], values float32[n], and whether each exceeds a run's ceiling, bool[n].

    ``ring``: float32[n], mean of the eight neighbours of what is no run: such a pixel is higher than both means of
    opposite neighbours.
    """

    place: NDArray[np.int64]
    peak: NDArray[np.float32]
    ring: NDArray[np.float32]
    is_run: NDArray[np.bool_]


def sharp_candidates(image: NDArray[np.float32], noise: float, contrast: float, least: float) -> SharpCandidates:
    """Pixels above ``noise`` that exceed ``contrast`` times the lesser of two means by ``least``, or both means.

    The means are those of the pixels left and right, and below and above; a neighbour below −noise is a dead pixel, and
    its mean unknown. image: float32[ny, nx], contiguous, masked pixels NaN.
    """
    most = image.size // EXPECTED_SHARE + 1
    while True:
        place, (peak, ring), is_run = (
            np.empty(most, np.int64),
            np.empty((2, most), np.float32),
            np.empty(most, np.bool_),
        )
        found = _SHARP_CANDIDATES(image, *image.shape, noise, contrast, least, most, place, peak, ring, is_run)
        if found <= most:
            return SharpCandidates(place[:found], peak[:found], ring[:found], is_run[:found])
        most = found


def sharp_candidates_reference(
    image: NDArray[np.float32], noise: float, contrast: float, least: float
) -> SharpCandidates:
    """`sharp_candidates` by NumPy."""
    flat = image.ravel()
    place = np.flatnonzero(flat > noise)
    peak = flat[place]
    across, along = (_opposite_mean(flat, place, image.shape, axis, -noise) for axis in (1, 0))
    is_run = peak - np.float32(contrast) * np.maximum(np.fmin(across, along), 0) > least
    kept = is_run | ((peak > across) & (peak > along))
    place, peak, is_run = place[kept], peak[kept], is_run[kept]
    ring, nx = np.zeros(place.size, np.float32), image.shape[1]
    for step in (-nx - 1, -nx, -nx + 1, -1, 1, nx - 1, nx, nx + 1):
        ring += flat.take(place + step, mode="clip")
    return SharpCandidates(place, peak, np.where(is_run, np.float32(np.nan), ring / np.float32(8)), is_run)


def _opposite_mean(
    flat: NDArray[np.float32], where: NDArray[np.intp], shape: tuple[int, ...], axis: int, lowest: float
) -> NDArray[np.float32]:
    step = shape[1] if axis == 0 else 1
    place = where // shape[1] if axis == 0 else where % shape[1]
    before, after = flat.take(where - step, mode="clip"), flat.take(where + step, mode="clip")
    usable = (place > 0) & (place < shape[axis] - 1) & (before > lowest) & (after > lowest)
    return np.where(usable, (before + after) / 2, np.nan).astype(np.float32)


def follow_tracks(
    image: NDArray[np.float32],
    found: NDArray[np.bool_],
    seeds: NDArray[np.int64],
    noise: float,
    contrast: float,
    least: float,
) -> NDArray[np.int64]:
    """Neighbours of the seeds that are sharp once the found pixels no longer count as their neighbours: int64[n].

    They are above ``noise`` and exceed ``contrast`` times the greater of two means by ``least``; both directions must
    say so here: a star beside a hot pixel keeps the other direction. image: float32[ny, nx], contiguous; found:
    bool[ny, nx], contiguous, gets them IN PLACE; seeds: int64[m], flat indices.
    """
    more = np.empty(8 * seeds.size, np.int64)
    marks = found.view(np.uint8)
    added = _FOLLOW_TRACKS(image, *image.shape, seeds, seeds.size, noise, contrast, least, marks, more)
    return more[:added].copy()


def follow_tracks_reference(
    image: NDArray[np.float32],
    found: NDArray[np.bool_],
    seeds: NDArray[np.int64],
    noise: float,
    contrast: float,
    least: float,
) -> NDArray[np.int64]:
    """`follow_tracks` by NumPy, in the order of their places."""
    (ny, nx), flat, marks = image.shape, image.reshape(-1), found.reshape(-1)
    beside = np.unique(seeds[:, None] + np.array([-nx - 1, -nx, -nx + 1, -1, 1, nx - 1, nx, nx + 1]))
    y, x = np.divmod(beside, nx)
    beside = beside[(x > 0) & (x < nx - 1) & (y > 0) & (y < ny - 1)]
    beside = beside[~marks[beside] & (flat[beside] > noise)]
    greater = np.full(beside.size, np.nan, np.float32)
    for step in (1, nx):
        before = np.where(marks[beside - step], flat[beside + step], flat[beside - step])
        after = np.where(marks[beside + step], before, flat[beside + step])
        clear = ~(marks[beside - step] & marks[beside + step])
        greater = np.fmax(greater, np.where(clear, 0.5 * (before + after), np.float32(np.nan)))
    added = beside[flat[beside] - np.float32(contrast) * np.maximum(greater, 0) > least]
    marks[added] = True
    return np.asarray(added, np.int64)
