"""Quality bits of a measured flux, named as in SExtractor where it has the same bit, and which points are usable."""

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray


class Flag(IntFlag):
    """Bits of column ``flag``; 0 means that nothing is known against the measurement."""

    CROWDED = 1  # neighbours bias the flux by more than a tenth (SExtractor bit 1)
    BLENDED = 2  # deblended from a neighbour when it was detected (SExtractor bit 2)
    SATURATED = 4  # a raw pixel at or above the saturation level lies in the aperture (SExtractor bit 4)
    EDGE = 8  # the aperture leaves the image (SExtractor bit 8)
    BAD_PIXEL = 16  # a hot, dead or unusable pixel lies in the aperture (SExtractor: aperture data incomplete)
    NO_SKY = 32  # too few sky pixels in the annulus: the frame's level was used, with its larger error
    COSMIC_RAY = 64  # a cosmic ray hit the aperture; its pixels were filled in
    TRAIL = 128  # the trail of a satellite or an aircraft crosses the aperture
    NONLINEAR = 256  # a raw pixel above the level up to which the detector is linear lies in the aperture
    BAD_FRAME = 512  # the frame did not pass the selection; set by the view, never in table flux
    MISSING = 1024  # the source lies off the frame or could not be measured there
    FORCED = 2048  # measured at a place that was asked for, whatever is there: no detection


# Hold on all frames alike: they say nothing against a single point.
OF_THE_STAR = Flag.CROWDED | Flag.BLENDED | Flag.FORCED
IN_THE_ERROR = Flag.NO_SKY  # costs precision, which the quoted error has
# What speaks against a point: each bit that is not known to be harmless. View light_curve has the same number.
SPOILING = sum(Flag) & ~int(OF_THE_STAR | IN_THE_ERROR)


def usable(
    flux: NDArray[np.float64], flag: NDArray[np.integer], good: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Which points may be used: measured, on a good frame, with no bit that speaks against a single point.

    This is the one rule by which references, statistics, variables, fits, plots and exports go, and column ``usable``
    of view ``light_curve``. It judges the measurement: on a usable point the relative flux is still unknown (NaN, NULL)
    where the frame has no reference star, and a magnitude where it has no zero point.

    Args:
        flux: float64[n, t] or [t], raw, any unit; NaN where nothing was measured.
        flag: integers of the same shape, bits of `Flag`.
        good: bool[t], frames that were not rejected; without it all are taken for good.

    Returns:
        bool of flux's shape.
    """
    fit = np.isfinite(flux) & ((flag & SPOILING) == 0)
    return np.asarray(fit if good is None else fit & good)
