"""Which stars may serve as references."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.flags import Flag
from pipeline.light_curves import LightCurves
from pipeline.nearest import tree_of

FEWEST_CANDIDATES = 6  # the smallest reference group of the Tianyu paper
WANTED_SHARE = 0.1  # of the stars that could serve at all: 7 flawless of 400 make a worse mean than 180 nearly so
WANTED_CANDIDATES = 50  # are enough in any field
MIN_GAIA_RATIO = 1.5  # distance of the second nearest over that of the nearest Gaia source
SPOILED_AND_RARE = 0.1  # share of good epochs that may be spoiled once that is relaxed
PRESENT_OFTEN = 0.8  # share of good epochs in which a star must be measured once that is relaxed
PRESENT_AT_ALL = 0.5
FEWEST_VALUES = 2  # unspoiled of an epoch: each star needs another to be compared with


class Relaxation(IntEnum):
    """How far the rules had to be relaxed to find enough candidates; each step includes those before it."""

    NONE = 0
    RARE_FLAGS = 1  # spoiled (bad pixel, edge, saturation) in up to a tenth of the good epochs
    NEIGHBOURS = 2  # no isolation: near neighbours, blends, two Gaia sources
    RARE_GAPS = 3  # measured, and positive, in four fifths of the good epochs only
    ALL = 4  # measured in half of the good epochs, whatever speaks against the values


class Candidates(NamedTuple):
    """``mask``: bool[n]; ``relaxation``: the step that was needed, to be told to the user unless it is NONE."""

    mask: NDArray[np.bool_]
    relaxation: Relaxation


class EnsembleCandidates(NamedTuple):
    """``mask``: bool[n]; ``values``: bool[n, t], which values may count in a mean; ``relaxation``: as above."""

    mask: NDArray[np.bool_]
    values: NDArray[np.bool_]
    relaxation: Relaxation


def reference_candidates(
    curves: LightCurves,
    gaia_variable: NDArray[np.bool_] | None = None,
    gaia_ratio: NDArray[np.float64] | None = None,
) -> Candidates:
    """Stars fit to be references (the Tianyu paper, section 3.4).

    A candidate is measured with positive flux, and unspoiled (`pipeline.flags.usable`), in every good epoch; its
    nearest other source is at least as far as that of the median source; it was never blended, is no Gaia variable, and
    where Gaia is known its second nearest Gaia source is 1.5 times as far as its nearest. With fewer than a tenth of
    the stars that could serve at all (at least 6, at most 50), the rules give way in the order of `Relaxation` until
    there are enough; Gaia variables are never let in.

    Args:
        curves: raw.
        gaia_variable: bool[n].
        gaia_ratio: float64[n], distance of the second nearest over that of the nearest Gaia source, NaN if unknown.
    """
    curves = curves.frames(curves.good)
    flux = curves.flux
    present = (np.isfinite(flux) & np.isfinite(curves.error) & (flux > 0)).mean(axis=1)
    spoiled = (np.isfinite(flux) & ~curves.usable).mean(axis=1)
    constant = np.ones(len(flux), dtype=np.bool_) if gaia_variable is None else ~gaia_variable
    alone = _isolated(curves.xy) & ~((curves.flag & int(Flag.BLENDED)) != 0).any(axis=1)
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
    number = {step: int(mask.sum()) for step, mask in steps.items()}
    most = number[Relaxation.ALL]
    # A poor field gives all the stars there are, by the strictest rules that do.
    wanted = min(most, max(FEWEST_CANDIDATES, min(WANTED_CANDIDATES, round(WANTED_SHARE * most))))
    step = next(step for step in Relaxation if number[step] >= wanted)
    return Candidates(steps[step], step)


def ensemble_candidates(
    curves: LightCurves,
    gaia_variable: NDArray[np.bool_] | None = None,
    gaia_ratio: NDArray[np.float64] | None = None,
) -> EnsembleCandidates:
    """Stars fit for a mean in which each is weighted by its own scatter and may miss single epochs.

    Neighbours shut no star out: its weight says what it is worth. On simulated nights of 150 and 600 stars the isolated
    half alone made the brightest stars scatter 2.4 and 1.56 mmag, all of them 1.9 and 1.47. Nor do rare flags: a value
    that is spoiled is left out of the mean as one that is missing, and its star stays as long as four fifths of the
    good epochs are left. A pair that Gaia cannot tell apart is left out: it is nobody's constant star. With fewer than
    six such stars all that are measured in half of the good epochs are let in, with their flagged values.

    Args: those of `reference_candidates`.
    """
    flux, good = curves.flux, curves.good
    measured = np.isfinite(flux) & np.isfinite(curves.error)
    values = measured & curves.usable
    positive = measured & (flux > 0)
    constant = np.ones(len(flux), dtype=np.bool_) if gaia_variable is None else ~gaia_variable
    usual = constant & ((positive & values)[:, good].mean(axis=1) >= PRESENT_OFTEN)
    if gaia_ratio is not None:
        usual &= ~(gaia_ratio < MIN_GAIA_RATIO)
    every = constant & (positive[:, good].mean(axis=1) >= PRESENT_AT_ALL)
    if usual.sum() < min(FEWEST_CANDIDATES, every.sum()):
        return EnsembleCandidates(every, np.where(usual[:, None], values, measured), Relaxation.ALL)
    return EnsembleCandidates(usual, values_that_count(curves, usual), Relaxation.NONE)


def values_that_count(curves: LightCurves, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Values that are not spoiled; on a frame where hardly a candidate has one, all that were measured: bool[n, t].

    Args:
        curves: raw.
        candidates: bool[n].
    """
    measured = np.isfinite(curves.flux) & np.isfinite(curves.error)
    values = measured & curves.usable
    lost = values[candidates].sum(axis=0) < FEWEST_VALUES
    values[:, lost] = measured[:, lost]
    return values


def _isolated(xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the nearest other source is at least as far as that of the median source; bool[n]."""
    distance = np.zeros(len(xy))
    known = np.isfinite(xy).all(axis=1)
    if bool(known.any()):
        tree = tree_of(xy[known])
        nearest, _ = tree.query(xy[known], k=[2])  # type: ignore[no-untyped-call]  # the first is the source itself
        distance[known] = nearest[:, 0]
        known &= distance >= np.median(distance[known])
    return np.asarray(known, dtype=np.bool_)
