"""Gain of a camera from a night's sky: the noise of a pixel against the level, as moon and twilight change both."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.noise import DIGITISATION_VARIANCE
from pipeline.statistics import MAD_TO_SIGMA

FEWEST_FRAMES = 12
GROUPS = 60  # of frames of like level, whose medians make the line
EFFICIENCY = 1.25  # by which medians err more than means
MOST_ERROR = 0.15  # of the gain, above which it is not believed
LEAST_RMS = 0.6  # ADU; below, rounding to whole numbers is the noise
GAIN_RANGE = (0.01, 2000.0)  # e-/ADU; means and sums of frames included
CLIP_SIGMA = 3.0
FAR_PX = 5  # pixels this far apart share no light of undersampled stars, and no weight of any interpolation
# Of neighbouring pixels: interpolation by a quarter of a pixel leaves 0.3, a crowded field has 0.2.
MOST_CORRELATION = 0.25

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """Electrons per ADU, and one standard deviation of it."""

    value: float
    error: float


def gain_of_sky(level: ArrayLike, rms: ArrayLike) -> Gain | None:
    """The gain by the slope of the variance of a sky pixel against the level of the sky, over the frames of a night.

    ``rms² = level / gain + constant``: an offset of the level and the read noise fall out. The halves of the night are
    compared, where both tell something: what differs between them is no photon noise.

    Args:
        level: of the sky, real[n], ADU, with or without the offset of a bias, in order of time.
        rms: of a sky pixel, real[n], ADU.

    Returns:
        None where levels change too little for 15 %, or what is found cannot be a gain.
    """
    levels = np.asarray(level, np.float64)
    variances = np.square(np.asarray(rms, np.float64)) - DIGITISATION_VARIANCE
    known = np.isfinite(levels) & np.isfinite(variances)
    return _by_slope(levels[known], variances[known])


def _by_slope(level: Floats, variance: Floats) -> Gain | None:
    if level.size < FEWEST_FRAMES or np.sqrt(np.median(variance)) < LEAST_RMS:
        return None
    slope, error = _slope(level, variance)
    half = level.size // 2
    parts = [_slope(level[part], variance[part]) for part in (slice(half), slice(half, None))]
    if all(value > 0 and of < 2 * MOST_ERROR * value for value, of in parts):
        error = max(error, abs(parts[0][0] - parts[1][0]) / 2)
    if not slope > 0 or error > MOST_ERROR * slope or not GAIN_RANGE[0] < 1 / slope < GAIN_RANGE[1]:
        return None
    return Gain(1 / slope, error / slope**2)


def _slope(x: Floats, y: Floats) -> tuple[float, float]:
    """Theil's slope through the medians of groups of like x, and its standard deviation; (0, inf) without a range."""
    order = np.argsort(x, kind="stable")
    groups = np.array_split(order, min(GROUPS, x.size))
    xs, ys = (np.array([np.median(values[group]) for group in groups]) for values in (x, y))
    i, j = np.triu_indices(xs.size, 1)
    apart = xs[j] > xs[i]
    if not apart.any():
        return 0.0, np.inf
    slope = float(np.median((ys[j] - ys[i])[apart] / (xs[j] - xs[i])[apart]))
    rest = y - slope * x
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(rest - np.median(rest))))
    return slope, EFFICIENCY * scatter / float(np.sqrt(np.square(x - x.mean()).sum()))


def neighbour_correlation(image: NDArray[Any], rms: float) -> float:
    """Correlation of the noise of neighbouring pixels of a row: what interpolation leaves, and a lossy compression.

    image: real[ny, nx] without sky, masked pixels NaN; rms: of a sky pixel. By the differences of neighbours against
    those of pixels farther apart; without stars.
    """
    near, far = (_half_square(image[:, step:] - image[:, :-step], rms) for step in (1, FAR_PX))
    return 1.0 - near / far if far > 0 else 1.0


def _half_square(difference: NDArray[Any], rms: float) -> float:
    kept = difference[np.abs(difference) < CLIP_SIGMA * np.sqrt(2.0) * rms]
    return float(np.square(kept, dtype=np.float64).mean()) / 2 if kept.size else 0.0
