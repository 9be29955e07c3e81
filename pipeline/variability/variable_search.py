"""All stars of a night: indices, boxes, comparison with like stars, and the ranked list."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.variability.boxes import BoxEvent
from pipeline.variability.dips import best_dip
from pipeline.variability.indices import VariabilityIndices, variability_indices
from pipeline.variability.like_stars import NEIGHBOURS, against_like_stars, class_apart, running_median
from pipeline.variability.nuisance import normal_equivalent, nuisance, penalties, trend_test, without
from pipeline.variability.ranking import SIGNIFICANT, Ranking, Suspicion, rank_candidates

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TESTS = ("stetson_j", "von_neumann", "excess_scatter", "box", "trend")
SCATTER, TREND = TESTS.index("excess_scatter"), TESTS.index("trend")
SHAPES = [TESTS.index(name) for name in ("stetson_j", "von_neumann", "box")]
SHAPE_SIGMA = 4.0  # of any test of shape in time
FREE_SIGMA = 3.0  # of shape that must be left where the frames explain as much as they can
MAX_PASSES = 5
LEVEL = SIGNIFICANT / MAX_PASSES  # each pass is another look
CROWDED_SHARE = 0.01  # of a star's light brought by neighbours: these are compared among themselves, too
CLASS_MEMBERS = 40  # fewer make no comparison


@dataclass(frozen=True)
class VariableSearch:
    """What a night says about the variability of n stars.

    Attributes:
        indices: of each light curve, by its quoted errors alone.
        boxes: best dips beside the trend and what the frames explain.
        significance: float64[5, n], of TESTS, in standard deviations among like stars.
        ranking: from these; a periodogram of the leaders can be ranked beside them by `rank_candidates`.
        trend: float64[n], range of the parabola that fits each night's light curve best, share of the flux.
    """

    indices: VariabilityIndices
    boxes: BoxEvent
    significance: Floats
    ranking: Ranking
    trend: Floats

    def log_chances(self) -> dict[str, Floats]:
        """ln of each test's false-alarm probability, float64[n] each, as `rank_candidates` takes them."""
        return _log_chances(self.significance)


def search_variables(
    curves: LightCurves,
    magnitude: Floats,
    suspicion: NDArray[np.int64] | None = None,
    *,
    covariates: Floats | None = None,
    contamination: Floats | None = None,
) -> VariableSearch:
    """Find the variables among the stars of one night.

    A star must stand out in what a trend over the whole night and the frames' properties leave of its light curve: a
    neighbour's wings in the aperture follow the FWHM. A crowded star's response to the frames is free, another's is
    drawn to what like stars show (`penalties`). The quoted errors know no red noise. Each significance is therefore
    measured from the median of stars of like magnitude and in their spread (1 at least), crowded ones among crowded
    ones: what most stars do is no variability. Stars that are improbable so are then left out of the comparison and the
    rest is judged again, until none is: a few strong variables among the brightest stars would else hide the weaker
    ones.

    Suspected are stars that only the frames, only a trend, or only scatter without a shape in time make stand out.

    Args:
        curves: relative; fluxes that are not usable are NaN, too.
        magnitude: float64[n], any zero point, such as -2.5 log10 of the median raw flux.
        suspicion: int64[n], see `pipeline.variability.ranking.suspicions`.
        covariates: float64[c, t] of the frames, see `nuisance`.
        contamination: float64[n], neighbours' light in the aperture over the star's own.

    Raises:
        UnusableDataError: times that are not in order.
    """
    indices = variability_indices(curves)
    columns = nuisance(curves.time, np.empty((0, curves.time.size)) if covariates is None else covariates)
    crowded = np.zeros(len(curves), dtype=bool)
    if contamination is not None:
        crowded = np.nan_to_num(contamination, nan=np.inf) > CROWDED_SHARE
    doubt = np.zeros(len(curves), dtype=np.int64) if suspicion is None else suspicion
    slope, trend = trend_test(curves, columns.trend)
    tests, boxes = _tests(curves, columns.all, None)
    free = significance = _judged(np.stack([*tests, slope]), magnitude, crowded)
    if len(columns.frames):
        penalty = penalties(curves, columns, lambda values: _typical(values, magnitude, crowded))
        penalty[crowded] = 0.0
        tests, boxes = _tests(curves, columns.all, penalty)
        significance = _judged(np.stack([*tests, slope]), magnitude, crowded)
        # Of what the frames may explain altogether nobody knows whether it is the star's.
        theirs = _improbable(significance) & (np.fmax.reduce(free[SHAPES]) < FREE_SIGMA)
        theirs &= np.fmax.reduce(significance[SHAPES]) > SHAPE_SIGMA
        doubt = doubt | np.where(theirs, np.int64(Suspicion.FRAMES), np.int64(0))
    ranking = rank_candidates(_log_chances(significance), _suspected(significance) | doubt, level=LEVEL)
    return VariableSearch(indices, boxes, significance, ranking, trend)


def _typical(values: Floats, magnitude: Floats, crowded: Bools) -> Floats:
    """Running medians along magnitude among stars that are not crowded, float64[n]."""
    result = np.zeros(values.size)
    known = np.flatnonzero(np.isfinite(values) & np.isfinite(magnitude) & ~crowded)
    if known.size:
        order = known[np.argsort(magnitude[known], kind="stable")]
        medians = running_median(values[order], min(NEIGHBOURS, order.size))
        result = np.interp(magnitude, magnitude[order], medians)
    return result


def _tests(curves: LightCurves, columns: Floats, penalty: Floats | None) -> tuple[list[Floats], BoxEvent]:
    """Significances of all tests but the trend's by the quoted errors alone, and boxes."""
    indices, boxes = variability_indices(without(curves, columns, penalty)), best_dip(curves, columns, penalty)
    alone = [
        indices.stetson_j_significance,
        indices.von_neumann_significance,
        indices.excess_significance,
        normal_equivalent(boxes.log_false_alarm),
    ]
    return alone, boxes


def _judged(alone: Floats, magnitude: Floats, crowded: Bools) -> Floats:
    """Significances float64[5, n] among like stars, of those by the quoted errors alone."""
    usual = ~np.any([class_apart(values, magnitude, least_spread=1.0) for values in alone], axis=0)
    for _ in range(MAX_PASSES):
        significance = np.stack([_among(values, magnitude, crowded, usual) for values in alone])
        found = usual & _improbable(significance)
        if not found.any():
            break
        usual &= ~found
    return significance


def _among(value: Floats, magnitude: Floats, crowded: Bools, usual: Bools) -> Floats:
    """Standard deviations among stars of like magnitude that are as crowded, or among all where these are too few."""
    result = against_like_stars(value, magnitude, least_spread=1.0, usual=usual)
    for members in (crowded, ~crowded):
        if np.count_nonzero(members & usual) >= CLASS_MEMBERS:
            own = against_like_stars(value, magnitude, least_spread=1.0, usual=usual & members)
            result[members] = own[members]
    return result


def _improbable(significance: Floats) -> Bools:
    """Whether no constant star of the field is likely to stand out so, bool[n]."""
    return np.asarray(rank_candidates(_log_chances(significance)).family_wise < LEVEL)


def _suspected(significance: Floats) -> NDArray[np.int64]:
    """SHAPELESS where a star stands out by its scatter alone, TREND where it does by its trend alone; int64[n]."""
    shape, trend = np.fmax.reduce(significance[SHAPES]), significance[TREND]
    with np.errstate(invalid="ignore"):
        steep = (trend > SHAPE_SIGMA) & ~(shape > SHAPE_SIGMA)
        scattered = (significance[SCATTER] > SHAPE_SIGMA) & ~(shape > SHAPE_SIGMA) & ~steep
    bits = np.zeros(trend.size, dtype=np.int64)
    bits[scattered] |= np.int64(Suspicion.SHAPELESS)
    bits[steep] |= np.int64(Suspicion.TREND)
    return bits


def _log_chances(significance: Floats) -> dict[str, Floats]:
    from scipy.special import log_ndtr

    return {name: np.asarray(log_ndtr(-values)) for name, values in zip(TESTS, significance, strict=True)}
