"""Which stars of a night vary: cheap statistics of all, a ranked list, periods and boxes of those that lead it."""

from pipeline.variability.boxes import BoxEvent, best_box
from pipeline.variability.dips import best_dip
from pipeline.variability.indices import VariabilityIndices, variability_indices
from pipeline.variability.like_stars import against_like_stars
from pipeline.variability.lomb_scargle import Periodicity, frequency_grid, lomb_scargle, noise_spectrum
from pipeline.variability.many_nights import Alternative, PeriodSearch, search_periods
from pipeline.variability.nuisance import Nuisance, nuisance, without
from pipeline.variability.period_fit import PeriodFit, fit_period
from pipeline.variability.ranking import Ranking, Suspicion, rank_candidates, shortlist, suspicions
from pipeline.variability.repeated_boxes import RepeatedBox, field_maxima, repeated_box, white_maxima
from pipeline.variability.systematics import neighbour_correlation
from pipeline.variability.variable_search import VariableSearch, search_variables

__all__ = [
    "Alternative",
    "BoxEvent",
    "Nuisance",
    "PeriodFit",
    "PeriodSearch",
    "Periodicity",
    "Ranking",
    "RepeatedBox",
    "Suspicion",
    "VariabilityIndices",
    "VariableSearch",
    "against_like_stars",
    "best_box",
    "best_dip",
    "field_maxima",
    "fit_period",
    "frequency_grid",
    "lomb_scargle",
    "neighbour_correlation",
    "noise_spectrum",
    "nuisance",
    "rank_candidates",
    "repeated_box",
    "search_periods",
    "search_variables",
    "shortlist",
    "suspicions",
    "variability_indices",
    "white_maxima",
    "without",
]
