"""Which stars may serve as references."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipeline.flags import Flag
from pipeline.relative.light_curves import check_light_curves

ENOUGH_CANDIDATES = 6  # the smallest reference group of the Tianyu paper
MIN_GAIA_RATIO = 1.5  # distance of the second nearest over that of the nearest Gaia source
SPOILED = int(Flag.SATURATED | Flag.EDGE | Flag.BAD_PIXEL | Flag.NO_SKY)
SPOILED_AND_RARE = 0.1  # share of good epochs that may be flagged once that is relaxed
PRESENT_OFTEN = 0.8  # share of good epochs in which a star must be measured once that is relaxed
PRESENT_AT_ALL = 0.5


class Relaxation(IntEnum):
    """How far the rules had to be relaxed to find ENOUGH_CANDIDATES; each step includes those before it."""

    NONE = 0
    RARE_FLAGS = 1  # a flag (bad pixel, edge, saturation, no sky) in up to a tenth of the good epochs
    NEIGHBOURS = 2  # no isolation: near neighbours, blends, two Gaia sources
    RARE_GAPS = 3  # measured, and positive, in four fifths of the good epochs only
    ALL = 4  # measured in half of the good epochs, any flags


class Candidates(NamedTuple):
    """``mask``: bool[n]; ``relaxation``: the step that was needed, to be told to the user unless it is NONE."""

    mask: NDArray[np.bool_]
    relaxation: Relaxation


def reference_candidates(
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    flag: NDArray[np.int32],
    xy: NDArray[np.float64],
    good_epochs: NDArray[np.bool_],
    gaia_variable: NDArray[np.bool_] | None = None,
    gaia_ratio: NDArray[np.float64] | None = None,
) -> Candidates:
    """Stars fit to be references (the Tianyu paper, section 3.4).

    A candidate is measured with positive flux and without a bad flag in every good epoch; its nearest other source is
    at least as far as that of the median source; it was never blended, is no Gaia variable, and where Gaia is known
    its second nearest Gaia source is 1.5 times as far as its nearest. With fewer than ENOUGH_CANDIDATES, the rules
    give way in the order of `Relaxation` until there are enough; Gaia variables are never let in.

    Args:
        flux: float64[n, t], raw flux in one aperture, NaN where missing.
        error: float64[n, t].
        flag: int32[n, t], bits of `pipeline.flags.Flag`.
        xy: float64[n, 2], positions in the template, px.
        good_epochs: bool[t].
        gaia_variable: bool[n].
        gaia_ratio: float64[n], distance of the second nearest over that of the nearest Gaia source, NaN if unknown.

    Raises:
        UnusableDataError: shapes that do not fit, or no good epoch.
    """
    check_light_curves(flux, good_epochs, error, flag)
    flux, error, flag = flux[:, good_epochs], error[:, good_epochs], flag[:, good_epochs]
    present = (np.isfinite(flux) & np.isfinite(error) & (flux > 0)).mean(axis=1)
    spoiled = ((flag & SPOILED) != 0).mean(axis=1)
    constant = np.ones(len(flux), dtype=np.bool_) if gaia_variable is None else ~gaia_variable
    alone = _isolated(xy) & ~((flag & int(Flag.BLENDED)) != 0).any(axis=1)
    if gaia_ratio is not None:
        alone &= ~(gaia_ratio < MIN_GAIA_RATIO)

    complete = constant & (present == 1)
    steps = {
        Relaxation.NONE: complete & alone & (spoiled == 0),
        Relaxation.RARE_FLAGS: complete & alone & (spoiled <= SPOILED_AND_RARE),
        Relaxation.NEIGHBOURS: complete & (spoiled <= SPOILED_AND_RARE),
        Relaxation.RARE_GAPS: constant & (present >= PRESENT_OFTEN) & (spoiled <= SPOILED_AND_RARE),
        Relaxation.ALL: constant & (present >= PRESENT_AT_ALL),
    }
    enough = next((step for step, mask in steps.items() if mask.sum() >= ENOUGH_CANDIDATES), None)
    if enough is None:
        # In a poor field the strictest rules that give all the stars there are.
        most = steps[Relaxation.ALL].sum()
        enough = next(step for step, mask in steps.items() if mask.sum() == most)
    return Candidates(steps[enough], enough)


def _isolated(xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the nearest other source is at least as far as that of the median source; bool[n]."""
    distance = np.zeros(len(xy))
    known = np.isfinite(xy).all(axis=1)
    if known.any():
        nearest, _ = cKDTree(xy[known]).query(xy[known], k=[2])  # the first is the source itself
        distance[known] = nearest[:, 0]
        return np.asarray(known & (distance >= np.median(distance[known])))
    return known
