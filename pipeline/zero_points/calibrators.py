"""Which stars may tell zero points, and which of their values."""

import numpy as np
from numpy.typing import NDArray

from pipeline.flags import OF_THE_STAR, Flag, usable

MAX_CALIBRATORS = 500  # brightest: stars that agree to 10 mmag give the night's level to 0.5 mmag
ENOUGH = 30  # calibrators by the strict rules, for all terms of the field; with fewer, crowded stars count too
MIN_DISTANCE_RATIO = 1.5  # of the second-nearest Gaia source to the nearest
MAX_NEIGHBOUR_LIGHT = 0.02  # of the star's own, of other Gaia sources near the aperture
MIN_PRESENCE = 0.5  # of the good frames on which a calibrator is measured well
MAX_SATURATED = 0.05  # of the frames: a star that saturates now and then is not linear the rest of the time

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def calibrators(
    g_mag: Floats, colour: Floats, variable: Bools, distance_ratio: Floats, neighbour_light: Floats
) -> tuple[Bools, bool]:
    """Stars that Gaia allows, bool[n], and whether the rule of neighbours had to give way for want of stars.

    Args:
        g_mag: float64[n], Gaia's G; NaN for a star that is not in Gaia.
        colour: float64[n], BP - RP; NaN where unknown.
        variable: bool[n], Gaia's flag.
        distance_ratio: float64[n], second-nearest over nearest Gaia source; NaN without a second.
        neighbour_light: float64[n], light of other Gaia sources near the aperture over the star's own.
    """
    allowed = np.isfinite(g_mag) & np.isfinite(colour) & ~variable & ~np.less(distance_ratio, MIN_DISTANCE_RATIO)
    alone = allowed & ~np.greater(neighbour_light, MAX_NEIGHBOUR_LIGHT)
    relaxed = int(np.count_nonzero(alone)) < min(ENOUGH, int(np.count_nonzero(allowed)))
    return (allowed if relaxed else alone), relaxed


def measured_well(flux: Floats, error: Floats, flag: NDArray[np.int32], good: Bools, relaxed: bool) -> Bools:
    """Values that may tell zero points, bool[n, t]: usable ones of stars that are measured on half the good frames.

    Args:
        flux: float64[n, t], ADU, NaN where missing; error alike.
        flag: int32[n, t].
        good: bool[t], frames that passed the selection; all count where none did.
        relaxed: stars with neighbours count too.
    """
    fit = usable(flux, flag) & (flux > 0) & (error > 0)
    if not relaxed:
        # A neighbour's light is on every frame: no point is the worse for it, but the magnitude is too bright.
        fit &= (flag & OF_THE_STAR) == 0
    judged = good if good.any() else np.ones(good.size, dtype=bool)
    saturated = ((flag & int(Flag.SATURATED)) > 0)[:, judged].mean(axis=1) > MAX_SATURATED
    present = fit[:, judged].mean(axis=1) >= MIN_PRESENCE
    return np.asarray(fit & (present & ~saturated)[:, None])
