"""Pixels that count without light, and pixels that light does not reach, told by several frames."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.box_noise import BOX_PX
from pipeline.statistics import MAD_TO_SIGMA

HOT_SIGMA = 8.0  # of one dark frame's noise, above its median
DEAD_RESPONSE = 0.5  # of the median around, below which a pixel is dead
MOST = 2.0 / 3.0  # of the frames that have to agree: a cosmic ray is in one


class Defects:
    """Counts in how many frames each pixel is odd."""

    def __init__(self) -> None:
        self.frames = 0
        self._odd: NDArray[np.uint16] | None = None

    def add_dark(self, signal: NDArray[Any]) -> None:
        """signal: real[ny, nx], ADU above the bias."""
        centre = _median(signal)
        sigma = max(MAD_TO_SIGMA * _median(np.abs(signal - centre)), 0.5)  # half a count: rounding
        self._add(signal > centre + HOT_SIGMA * sigma)

    def add_flat(self, signal: NDArray[Any]) -> None:
        """signal: real[ny, nx], ADU above the bias, not saturated."""
        self._add(signal < DEAD_RESPONSE * _around(signal))

    def mask(self) -> NDArray[np.bool_] | None:
        """bool[ny, nx]: odd in most frames; None without a frame."""
        return None if self._odd is None else np.asarray(self._odd >= max(1, int(np.ceil(MOST * self.frames))))

    def _add(self, odd: NDArray[np.bool_]) -> None:
        self.frames += 1
        self._odd = odd.astype(np.uint16) if self._odd is None else self._odd + odd


def _around(signal: NDArray[Any]) -> NDArray[np.float64]:
    """Median of the box of each pixel; boxes at the far edges are smaller."""
    level = np.empty(signal.shape)
    for y in range(0, signal.shape[0], BOX_PX):
        for x in range(0, signal.shape[1], BOX_PX):
            box = slice(y, y + BOX_PX), slice(x, x + BOX_PX)
            level[box] = _median(signal[box])
    return level


def _median(values: NDArray[Any]) -> float:
    """Of what is no NaN."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
