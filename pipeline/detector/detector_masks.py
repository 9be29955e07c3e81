"""Pixels of the detector that cannot be trusted on any frame: from its masters, or from the night's own frames."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.rows import Rows
from pipeline.statistics import MAD_TO_SIGMA, medians_of_rows

PART_ROWS = 256  # that are looked at together; a multiple of BLOCK
BLOCK = 32  # px a side of the blocks whose medians are a master's local level
OUTLIER_SIGMA = 8.0  # noise of the master bias or dark; beyond it a pixel is known to be unlike the others
FLAT_RANGE = (0.5, 1.5)  # of the local response; outside, a pixel is dead, or its flat is not to be believed
HOT_RMS = 10.0  # sky rms, dark signal of a pixel that is given up: one degree of the sensor moves it by one rms
NOISE_STEP = 7  # every so many pixels tell a master's noise
LEAST_NOISE = 1e-6  # ADU, or ADU/s: masters made of one number have none
REPEATS = 3  # of the frames looked at, in which a pixel stands out at one place of the detector
REPEAT_FRAMES = 15  # frames looked at; that three have cosmic rays in one and the same pixel of four million: 0.2 %

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Defects:
    """Flat indices (y * nx + x) of pixels, ascending.

    Attributes:
        dead: without a usable flat, or read out as nothing.
        hot: that stand out in the master bias or dark.
        dark: float32, their dark signal over that of the pixels around, ADU/s (0 without a master dark).
    """

    dead: Indices
    hot: Indices
    dark: NDArray[np.float32]

    def unusable(self, exposure: float, rms: float) -> Indices:
        """Pixels to be given up on a frame of this exposure (s) and sky rms (ADU): the dead, and the too hot ones."""
        return np.concatenate([self.dead, self.hot[self.dark * exposure > HOT_RMS * rms]])

    def is_hot(self, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these stand out in a master: bool[n] for flat indices int64[n]."""
        if not self.hot.size:
            return np.zeros(pixels.size, np.bool_)
        return np.asarray(self.hot[np.minimum(np.searchsorted(self.hot, pixels), self.hot.size - 1)] == pixels)


def find_defects(bias: Rows | None = None, dark: Rows | None = None, flat: Rows | None = None) -> Defects:
    """What the masters of a night tell about single pixels; each real[ny, nx] or None.

    bias: ADU; dark: ADU/s without bias; flat: response of mean 1, NaN where it is unusable.
    """
    dead = hot = np.empty(0, np.intp)
    if flat is not None:
        dead = _where(flat, lambda part: _is_dead(part, _local_level(part, flat.shape)))
    excess = None
    for master in (bias, dark):
        if master is None:
            continue
        excess = _excess(master)
        noise = MAD_TO_SIGMA * float(np.nanmedian(np.abs(excess.ravel()[::NOISE_STEP])))
        least = OUTLIER_SIGMA * max(noise, LEAST_NOISE)
        hot = np.union1d(hot, _where(excess, lambda part, least=least: np.abs(part) > least))  # type: ignore[misc]
        if master is bias and np.nanmedian(_sample(bias)) > least:
            # Nothing at all where others have their pedestal: columns and corners that are not read out.
            dead = np.union1d(dead, _where(bias, lambda part: part == 0))
    if dark is None or excess is None:
        return Defects(dead, hot, np.zeros(hot.size, np.float32))
    return Defects(dead, hot, excess.ravel()[hot].astype("f4"))


def repeated_pixels(frames: Sequence[NDArray[np.integer]]) -> Indices:
    """Pixels that stand out on at least REPEATS of a few frames: they are hot, and no cosmic rays.

    frames: flat indices of the sharp pixels of each frame, each index once. Returns them ascending.
    """
    if len(frames) < REPEATS:
        return np.empty(0, np.intp)
    index, times = np.unique(np.concatenate(frames), return_counts=True)
    return index[times >= REPEATS].astype(np.intp)


def _parts(rows: int) -> Iterator[slice]:
    """Rows of a few blocks at once, so that what comes between takes little memory; the last part has a whole block."""
    start = 0
    while start < rows:
        stop = rows if rows - start < PART_ROWS + BLOCK else start + PART_ROWS
        yield slice(start, stop)
        start = stop


def _where(image: Rows, test: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> Indices:
    """Flat indices of the pixels for which a test of rows is true."""
    nx = image.shape[1]
    found = [np.flatnonzero(test(image[rows])) + rows.start * nx for rows in _parts(image.shape[0])]
    return np.concatenate(found) if found else np.empty(0, np.intp)


def _sample(image: Rows) -> NDArray[Any]:
    """Every so many pixels, by `NOISE_STEP`."""
    nx = image.shape[1]
    parts = _parts(image.shape[0])
    return np.concatenate([image[rows].ravel()[-rows.start * nx % NOISE_STEP :: NOISE_STEP] for rows in parts])


def _is_dead(flat: NDArray[Any], level: NDArray[np.float32]) -> NDArray[np.bool_]:
    local = np.where(np.isfinite(flat), flat, 0) / np.maximum(level, 1e-6)
    return np.asarray((local < FLAT_RANGE[0]) | (local > FLAT_RANGE[1]))


def _excess(image: Rows) -> NDArray[Any]:
    """Over the local level."""
    excess = np.empty(image.shape, np.result_type(image.dtype, np.float32).newbyteorder("="))
    for rows in _parts(image.shape[0]):
        part = image[rows]
        np.subtract(part, _local_level(part, image.shape), out=excess[rows])
    return excess


def _local_level(image: NDArray[Any], whole: tuple[int, ...]) -> NDArray[np.float32]:
    """Median of the block that each pixel lies in: float32[ny, nx]; of every second pixel, which is near enough.

    image: rows of an image of shape ``whole``, from the beginning of a block on.
    """
    ny, nx = image.shape
    some = np.where(np.isfinite(image), image, 0).astype(np.float32)
    some = np.pad(some, ((0, -ny % BLOCK), (0, -nx % BLOCK)), mode="symmetric" if min(whole) >= BLOCK else "edge")
    some = some[::2, ::2]
    rows, columns, half = some.shape[0] * 2 // BLOCK, some.shape[1] * 2 // BLOCK, BLOCK // 2
    blocks = some.reshape(rows, half, columns, half).swapaxes(1, 2).reshape(rows, columns, half * half)
    level = medians_of_rows(blocks.reshape(rows * columns, -1)).reshape(rows, columns)
    return np.asarray(np.repeat(np.repeat(level, BLOCK, axis=0), BLOCK, axis=1)[:ny, :nx], np.float32)
