"""All stars of a night: indices, boxes, comparison with like stars, and the ranked list."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.variability.boxes import BoxEvent, best_box
from pipeline.variability.candidates import SIGNIFICANT, Ranking, Suspicion, rank_candidates
from pipeline.variability.indices import VariabilityIndices, variability_indices
from pipeline.variability.like_stars import against_like_stars, class_apart

Floats = NDArray[np.float64]

TESTS = ("stetson_j", "von_neumann", "excess_scatter", "box")
SCATTER = TESTS.index("excess_scatter")
SHAPE_SIGMA = 4.0  # of any test of shape in time
MAX_PASSES = 5
LEVEL = SIGNIFICANT / MAX_PASSES  # each pass is another look


@dataclass(frozen=True)
class VariableSearch:
    """What a night says about the variability of n stars.

    Attributes:
        indices, boxes: of each light curve, by its quoted errors alone.
        significance: float64[4, n], of TESTS, in standard deviations among stars of like magnitude.
        ranking: from these four; a periodogram of the leaders can be ranked beside them by `rank_candidates`.
    """

    indices: VariabilityIndices
    boxes: BoxEvent
    significance: Floats
    ranking: Ranking

    def log_chances(self) -> dict[str, Floats]:
        """ln of each test's false-alarm probability, float64[n] each, as `rank_candidates` takes them."""
        return _log_chances(self.significance)


def search_variables(
    time: Floats, flux: Floats, error: Floats, magnitude: Floats, suspicion: NDArray[np.int64] | None = None
) -> VariableSearch:
    """Find the variables among the stars of one night.

    The quoted errors know no red noise. Each significance is therefore measured from the median of stars of like
    magnitude and in their spread (1 at least): what most stars do at some magnitude is no variability. Stars that are
    improbable so are then left out of the comparison and the rest is judged again, until none is: a few strong
    variables among the brightest stars would else hide the weaker ones. Scatter without a shape in time is suspected
    too.

    Args:
        time: float64[t], days, in order.
        flux: float64[n, t], relative, NaN where missing or flagged.
        error: float64[n, t], one standard deviation.
        magnitude: float64[n], any zero point, such as -2.5 log10 of the median raw flux.
        suspicion: int64[n], see `pipeline.variability.candidates.suspicions`.

    Raises:
        UnusableDataError: shapes that do not fit, or times that are not in order.
    """
    indices = variability_indices(time, flux, error)
    boxes = best_box(time, flux, error)
    alone = (
        indices.stetson_j_significance,
        indices.von_neumann_significance,
        indices.excess_significance,
        _normal_equivalent(boxes.log_false_alarm),
    )
    significance, ranking = _judged(np.stack(alone), magnitude, 0 if suspicion is None else suspicion)
    return VariableSearch(indices, boxes, significance, ranking)


def _judged(alone: Floats, magnitude: Floats, suspicion: NDArray[np.int64] | int) -> tuple[Floats, Ranking]:
    """Significances float64[4, n] among like stars, of those by the quoted errors alone, and the ranking."""
    usual = ~np.any([class_apart(values, magnitude, least_spread=1.0) for values in alone], axis=0)
    for _ in range(MAX_PASSES):
        significance = np.stack(
            [against_like_stars(values, magnitude, least_spread=1.0, usual=usual) for values in alone]
        )
        ranking = rank_candidates(_log_chances(significance), _shapeless(significance) | suspicion, level=LEVEL)
        found = usual & (ranking.family_wise < LEVEL)
        if not found.any():
            break
        usual &= ~found
    return significance, ranking


def _shapeless(significance: Floats) -> NDArray[np.int64]:
    """`Suspicion.SHAPELESS` where a star stands out by its scatter alone, int64[n]."""
    shape = np.fmax.reduce(np.delete(significance, SCATTER, axis=0))
    with np.errstate(invalid="ignore"):
        alone = (significance[SCATTER] > SHAPE_SIGMA) & ~(shape > SHAPE_SIGMA)
    return np.where(alone, np.int64(Suspicion.SHAPELESS), np.int64(0))


def _log_chances(significance: Floats) -> dict[str, Floats]:
    from scipy.special import log_ndtr

    return {name: np.asarray(log_ndtr(-values)) for name, values in zip(TESTS, significance, strict=True)}


def _normal_equivalent(log_chance: Floats) -> Floats:
    """Standard deviations above which a Gaussian has this chance, of its ln."""
    from scipy.special import ndtri_exp

    return np.asarray(-ndtri_exp(np.minimum(log_chance, -1e-12)))
