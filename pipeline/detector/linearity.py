"""How linear a camera is, and how much it counts in the dark: levels against exposure times."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.photon_transfer import Estimate

FEWEST_EXPOSURES = 4  # different ones
STRAIGHT_SHARE = 0.5  # of the highest level: below it the straight line is fitted
TOLERANCE = 0.01  # relative, of a response that counts as linear
STEADY = 0.005  # relative scatter of levels about the line, with which TOLERANCE can be told
SAME_EXPOSURE = 0.005  # relative

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Linearity:
    """Levels (ADU above the bias) of flats against exposure times.

    Attributes:
        exposure, level, deviation: float64[m] each of different exposure times; deviation from the line, relative.
        limit: level up to which the deviation is below TOLERANCE; None where the light was not steady.
        scatter: relative, about the line where it is fitted and among flats of one exposure time.
    """

    exposure: Floats
    level: Floats
    deviation: Floats
    limit: Estimate | None
    scatter: float


def linearity(exposure: Floats, level: Floats) -> Linearity | None:
    """From flats of a constant lamp, none of them saturated: float64[n] each, s and ADU above the bias.

    A shutter that opens late shifts all exposure times: the line need not go through zero. None where there are not
    enough different exposure times among the lower half of the levels.
    """
    order = np.argsort(exposure, kind="stable")
    exposure, level = exposure[order], level[order]
    starts = np.flatnonzero(np.diff(exposure, prepend=-1.0) > SAME_EXPOSURE * exposure)
    if starts.size < FEWEST_EXPOSURES:
        return None
    runs = np.split(np.arange(level.size), starts[1:])
    times = np.array([exposure[run].mean() for run in runs])
    means = np.array([level[run].mean() for run in runs])
    low = means <= STRAIGHT_SHARE * means.max()
    if low.sum() < FEWEST_EXPOSURES - 1 or (means <= 0).any():
        return None
    offset, rate = np.polynomial.polynomial.polyfit(times[low], means[low], 1, w=1.0 / means[low])
    deviation = means / (offset + rate * times) - 1.0
    freedom = max(int(low.sum()) - 2, 1)
    about = np.sqrt(np.sum(deviation[low] ** 2) / freedom)
    repeats = [level[run].std(ddof=1) / level[run].mean() for run in runs if run.size > 1]
    scatter = float(max(about, np.median(repeats) if repeats else 0.0))
    limit = _limit(means, deviation, scatter) if scatter <= STEADY and rate > 0 else None
    return Linearity(times, means, deviation, limit, scatter)


def dark_rate(exposure: Floats, level: Floats) -> Estimate | None:
    """ADU a second, from levels (ADU) of frames without light, float64[n] each; bias frames have exposure 0.

    The error is by how levels scatter about the line: the bias drifts by more than a mean of all pixels is uncertain.
    None without two exposure times and three frames.
    """
    spread = exposure - exposure.mean() if exposure.size else exposure
    if exposure.size < 3 or not np.ptp(exposure) > 0:
        return None
    slope = float(spread @ level / (spread @ spread))
    away = level - level.mean() - slope * spread
    return Estimate(slope, float(np.sqrt(away @ away / (exposure.size - 2) / (spread @ spread))))


def _limit(level: Floats, deviation: Floats, scatter: float) -> Estimate:
    order = np.argsort(level)
    level, deviation = level[order], deviation[order]
    within = np.flatnonzero(np.abs(deviation) <= TOLERANCE)
    last = int(within[-1]) if within.size else 0
    if last == level.size - 1:
        return Estimate(float(level[-1]), float(scatter * level[-1]), "at least")
    a, b = abs(deviation[last]), abs(deviation[last + 1])
    share = float(np.clip((TOLERANCE - a) / (b - a), 0.0, 1.0))
    gap = level[last + 1] - level[last]
    return Estimate(float(level[last] + share * gap), float(gap / 2.0))
