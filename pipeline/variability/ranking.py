"""One ranked list of stars from several tests, with the probability that chance put a star there."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError

Floats = NDArray[np.float64]

SIGNIFICANT = 0.01  # chance that any star of a field without variables is called significant
MAX_NEIGHBOUR_CORRELATION = 0.6
MIN_COVERED_SHARE = 0.67  # stars that come and go at an edge stand on other pixels before and after
SHORTLIST_CHANCE = 0.05  # of one star
SHORTLIST_LIMIT = 200


class Suspicion(IntFlag):
    """Why a star's variation may not be its own."""

    FRAMES = 2  # what FWHM, shape, sky and transparency explain of it makes it stand out, the rest does not
    NEIGHBOUR = 4  # it follows a brighter star nearby
    EDGE = 8  # it lies near the edge of the frames
    SPARSE = 16  # it was measured on few frames
    SHAPELESS = 32  # it scatters more than its errors say, but without any shape in time: rather a spoilt measurement
    TREND = 64  # it changes along the whole night and no faster: a slow variable, or what extinction and drift do to it


@dataclass(frozen=True)
class Ranking:
    """[n] each, in the order of the stars given, except `order`.

    Attributes:
        order: int64, stars from the best candidate to the least.
        test: int64, number of the test with the smallest probability, in the order of the mapping; -1 for none.
        log_chance: float64, ln of the probability that a constant star does as well in any of the tests; NaN untested.
        family_wise: float64, probability that any of n constant stars does as well (Bonferroni).
        q_value: float64, share of false ones among the stars up to this one (Benjamini & Hochberg 1995).
        suspicion: int64, bits of `Suspicion`.
        significant: bool, family-wise probability below 1 %, and not suspected.
    """

    order: NDArray[np.int64]
    test: NDArray[np.int64]
    log_chance: Floats
    family_wise: Floats
    q_value: Floats
    suspicion: NDArray[np.int64]
    significant: NDArray[np.bool_]


def rank_candidates(
    log_chances: Mapping[str, Floats], suspicion: NDArray[np.int64] | None = None, *, level: float = SIGNIFICANT
) -> Ranking:
    """Rank stars by the smallest probability of any test, times the number of tests.

    Significant stars come first, then stars as improbable that are suspected, then the rest.

    Args:
        log_chances: for each test float64[n], ln of a star's own false-alarm probability; NaN where it was not tested.
        suspicion: int64[n], see `suspicions`; none without it.
        level: family-wise, of a significant star.

    Raises:
        UnusableDataError: no test, or tests of different numbers of stars.
    """
    sizes = {values.shape for values in log_chances.values()}
    if len(sizes) != 1 or len(next(iter(sizes))) != 1:
        raise UnusableDataError(f"tests of {sorted(sizes)} stars: expected one number of stars for all")
    table = np.stack(list(log_chances.values()))
    tested = np.isfinite(table) | np.isneginf(table)
    filled = np.where(tested, table, 0.0)
    test = np.where(tested.any(axis=0), np.argmin(np.where(tested, table, np.inf), axis=0), -1)
    log_chance = np.where(test >= 0, np.minimum(filled.min(axis=0) + np.log(len(table)), 0.0), np.nan)
    n = max(1, int((test >= 0).sum()))
    doubt = np.zeros(test.size, dtype=np.int64) if suspicion is None else suspicion
    with np.errstate(under="ignore"):
        family_wise = np.exp(np.minimum(log_chance + np.log(n), 0.0))
    improbable = family_wise < level
    keys = np.where(np.isnan(log_chance), np.inf, log_chance)
    order = np.lexsort((keys, (doubt != 0) & improbable, ~improbable))
    return Ranking(
        order=order,
        test=test,
        log_chance=log_chance,
        family_wise=family_wise,
        q_value=_q_values(keys, n),
        suspicion=doubt,
        significant=improbable & (doubt == 0),
    )


def suspicions(
    *,
    neighbour_correlation: Floats | None = None,
    near_edge: NDArray[np.bool_] | None = None,
    covered_share: Floats | None = None,
) -> NDArray[np.int64]:
    """Bits of `Suspicion` from shares of points, correlations and places, [n] each; int64[n].

    Raises:
        UnusableDataError: nothing was given.
    """
    reasons = {
        Suspicion.NEIGHBOUR: None
        if neighbour_correlation is None
        else neighbour_correlation > MAX_NEIGHBOUR_CORRELATION,
        Suspicion.EDGE: near_edge,
        Suspicion.SPARSE: None if covered_share is None else covered_share < MIN_COVERED_SHARE,
    }
    given = [np.where(which, int(bit), 0) for bit, which in reasons.items() if which is not None]
    if not given:
        raise UnusableDataError("no reason for suspicion was given: expected one array or more")
    return np.asarray(np.sum(given, axis=0), dtype=np.int64)


def shortlist(ranking: Ranking, limit: int = SHORTLIST_LIMIT, chance: float = SHORTLIST_CHANCE) -> NDArray[np.int64]:
    """Stars worth a periodogram, best first: at most ``limit``, none likelier than ``chance`` to be constant."""
    likely = ranking.log_chance[ranking.order] < np.log(chance)
    return np.asarray(ranking.order[likely][:limit], dtype=np.int64)


def _q_values(log_chance: Floats, n: int) -> Floats:
    ranks = np.argsort(log_chance, kind="stable")
    scaled = log_chance[ranks] + np.log(n) - np.log(np.arange(1, ranks.size + 1))
    q = np.empty(ranks.size)
    q[ranks] = np.exp(np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 0.0))
    return np.where(np.isfinite(log_chance) | np.isneginf(log_chance), q, np.nan)
