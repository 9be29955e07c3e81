"""Pixels of the detector that cannot be trusted on any frame: from its masters, or from the night's own frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics import MAD_TO_SIGMA

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
        """Pixels to be given up on a frame of this exposure (s) and sky rms (ADU): dead, or too hot."""
        return np.union1d(self.dead, self.hot[self.dark * exposure > HOT_RMS * rms])


def find_defects(
    bias: NDArray[Any] | None = None, dark: NDArray[Any] | None = None, flat: NDArray[Any] | None = None
) -> Defects:
    """What the masters of a night tell about single pixels; each real[ny, nx] or None.

    bias: ADU; dark: ADU/s without bias; flat: response of mean 1, NaN where it is unusable.
    """
    dead = hot = np.empty(0, np.intp)
    if flat is not None:
        local = np.where(np.isfinite(flat), flat, 0) / np.maximum(_local_level(flat), 1e-6)
        dead = np.flatnonzero((local < FLAT_RANGE[0]) | (local > FLAT_RANGE[1]))
    excess = None if dark is None else dark - _local_level(dark)
    for difference in (None if bias is None else bias - _local_level(bias), excess):
        if difference is not None:
            size = np.abs(difference)
            least = OUTLIER_SIGMA * max(MAD_TO_SIGMA * float(np.nanmedian(size.ravel()[::NOISE_STEP])), LEAST_NOISE)
            hot = np.union1d(hot, np.flatnonzero(size > least))
            if bias is not None and difference is not excess and np.nanmedian(bias.ravel()[::NOISE_STEP]) > least:
                # Nothing at all where others have their pedestal: columns and corners that are not read out.
                dead = np.union1d(dead, np.flatnonzero(bias == 0))
    return Defects(dead, hot, np.zeros(hot.size, np.float32) if excess is None else excess.ravel()[hot].astype("f4"))


def repeated_pixels(frames: Sequence[NDArray[np.integer]]) -> Indices:
    """Pixels that stand out on at least REPEATS of a few frames: they are hot, and no cosmic rays.

    frames: flat indices of the sharp pixels of each frame, each index once. Returns them ascending.
    """
    if len(frames) < REPEATS:
        return np.empty(0, np.intp)
    index, times = np.unique(np.concatenate(frames), return_counts=True)
    return index[times >= REPEATS].astype(np.intp)


def _local_level(image: NDArray[Any]) -> NDArray[np.float32]:
    """Median of the block that each pixel lies in: float32[ny, nx]; of every second pixel, which is near enough."""
    ny, nx = image.shape
    some = np.where(np.isfinite(image), image, 0).astype(np.float32)
    some = np.pad(some, ((0, -ny % BLOCK), (0, -nx % BLOCK)), mode="symmetric" if min(ny, nx) >= BLOCK else "edge")
    some = some[::2, ::2]
    rows, columns, half = some.shape[0] * 2 // BLOCK, some.shape[1] * 2 // BLOCK, BLOCK // 2
    blocks = some.reshape(rows, half, columns, half).swapaxes(1, 2).reshape(rows, columns, half * half)
    level = np.median(blocks, axis=2)
    return np.asarray(np.repeat(np.repeat(level, BLOCK, axis=0), BLOCK, axis=1)[:ny, :nx], np.float32)
