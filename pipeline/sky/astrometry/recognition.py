"""Which known stars a list of stars shows, where two plate solutions disagree by more than the stars' distances.

Each solution has errors that change slowly over its field, most in the corners: in fields of many degrees they come to
more than a pixel, where the nearest of two stars may be the wrong one. They are measured on the stars that both lists
have, and taken off, for the known stars of each earlier solution by themselves: first the offset on which most pairs
agree, then polynomials of growing degree. Between two earlier fields the differences jump; one polynomial for all left
1,521 of 16,356 stars unrecognised where the solutions were off by 1.5 pixels in their corners.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import closest_pairs, tree_of
from pipeline.registration.alignment import BIWEIGHT_SIGMA
from pipeline.statistics import MAD_TO_SIGMA

REACH_RADII = 4.0  # of the largest radius: how far two solutions may be apart, as a whole
FIT_RADII = 2.0  # within which stars are taken for one while the polynomials are fitted
AGREEING_PAIRS = 3  # make an offset; fewer are chance
CHANCE = 1e-2  # probability that unrelated lists agree as well on some offset
DEGREES = 1, 2, 3  # of the polynomials, one after the other
SMALL_GROUP = 24  # stars of one solution; those of fewer are taken together
ROUNDS = 2  # of matching and fitting at each degree
STARS_A_TERM = 8  # a polynomial of fewer stars would follow their noise
ROBUST_ROUNDS = 4
LEAST_SCATTER_RADII = 0.02  # a perfect fit needs some scale

Points = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Recognised:
    """``match`` intp[m]: the known star of each star seen, −1 for none.

    ``rivals`` intp[k, 2]: (star, known) of known stars that no star is matched to, within their radius of one that is
    matched to another; each with its nearest star, the nearest pairs first.
    """

    match: Indices
    rivals: Indices


def recognise(expected: Points, radius: Points, origin: NDArray[np.int64], seen: Points) -> Recognised:
    """Match stars one-to-one with known ones, the nearest pairs first, after the solutions' differences are taken off.

    Args:
        expected: float64[n, 2], pixels where known stars should be seen; rows that are not finite match nothing.
        radius: float64[n], pixels, within which a star may be the known one.
        origin: int64[n], the solution by which the known star got its place.
        seen: float64[m, 2], pixels of the stars.
    """
    here = np.flatnonzero(np.isfinite(expected).all(axis=1))
    none = np.full(len(seen), -1, np.intp)
    if not len(here) or not len(seen):
        return Recognised(none, np.empty((0, 2), np.intp))
    places, reach = expected[here], radius[here]
    places = _straightened(places, reach, seen, _groups(origin[here]))
    star, known = _pairs(places, reach, seen)
    match = none
    one, other = closest_pairs(star, known)
    match[one] = here[other]
    left = np.flatnonzero(~np.isin(known, other) & np.isin(star, one))
    left = left[np.sort(np.unique(known[left], return_index=True)[1])]  # of the nearest star only
    return Recognised(match, np.column_stack([star[left], here[known[left]]]))


def _pairs(places: Points, reach: Points, seen: Points) -> tuple[Indices, Indices]:
    """Pairs (star, known) within reach float64[n] of each known place, the nearest first."""
    near = tree_of(seen).sparse_distance_matrix(  # type: ignore[no-untyped-call]
        tree_of(places), float(reach.max()), output_type="ndarray"
    )
    near = np.sort(near[near["v"] <= reach[near["j"]]], order=["v", "i", "j"])
    return near["i"], near["j"]


def _common_offset(places: Points, reach: Points, seen: Points) -> Points | None:
    """The offset float64[2] on which more pairs agree, within the radius, than chance explains; else none."""
    radius = float(reach.max())
    star, known = _pairs(places, np.full(len(places), REACH_RADII * radius), seen)
    if len(star) < AGREEING_PAIRS:
        return None
    offsets = seen[star] - places[known]
    step = radius / 2.0
    cells = np.floor(offsets / step).astype(np.intp)
    low = cells.min(axis=0) - 1
    counts = np.zeros(tuple((cells.max(axis=0) - low + 2).tolist()))
    np.add.at(counts, tuple((cells - low).T), 1.0)
    boxes = sum(np.roll(counts, (x, y), axis=(0, 1)) for x in (-1, 0, 1) for y in (-1, 0, 1))
    best = np.array(np.unravel_index(int(np.argmax(boxes)), counts.shape))
    agreeing = float(np.max(boxes))
    from scipy.special import pdtrc  # see pipeline/__init__.py

    trials = (REACH_RADII * radius / step) ** 2 * np.pi
    expected = 9.0 * (len(star) - agreeing) / trials
    if agreeing < AGREEING_PAIRS or pdtrc(agreeing - 1, expected) * trials / 9.0 > CHANCE:
        return None
    middle = (best + low + 0.5) * step
    near = np.hypot(*(offsets - middle).T) < radius
    return np.asarray(np.median(offsets[near], axis=0))


def _groups(origin: NDArray[np.int64]) -> list[Indices]:
    """Rows of the stars of each solution; those of small ones together."""
    _, group, count = np.unique(origin, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(count)[:-1])
    large = [part for part in parts if len(part) >= SMALL_GROUP]
    small = [part for part in parts if len(part) < SMALL_GROUP]
    return large + ([np.concatenate(small)] if small else [])


def _straightened(places: Points, reach: Points, seen: Points, groups: list[Indices]) -> Points:
    """Places with their smooth differences from the stars taken off, of each group by itself."""
    places, everywhere = places.copy(), _common_offset(places, reach, seen)
    for rows in groups:
        offset = _common_offset(places[rows], reach[rows], seen) if len(groups) > 1 else everywhere
        offset = everywhere if offset is None else offset
        places[rows] += 0.0 if offset is None else offset
    middle, half = seen.mean(axis=0), max(float(np.ptp(seen, axis=0).max()) / 2.0, 1.0)
    for degree in np.repeat((0, *DEGREES), ROUNDS).tolist():
        star, known = closest_pairs(*_pairs(places, FIT_RADII * reach, seen))
        of_known = np.full(len(places), -1, np.intp)
        of_known[known] = star
        for rows in groups:
            j = rows[of_known[rows] >= 0]
            if len(j) < STARS_A_TERM * _n_terms(degree):
                continue
            off = seen[of_known[j]] - places[j]
            fitted = _fit(_terms((places[j] - middle) / half, degree), off, LEAST_SCATTER_RADII * reach[j])
            places[rows] += _terms((places[rows] - middle) / half, degree) @ fitted
    return places


def _fit(terms: Points, off: Points, floor: Points) -> Points:
    """Coefficients float64[t, 2] of offsets float64[n, 2] by Tukey's biweight, from their median."""
    residual = off - np.median(off, axis=0)
    fitted = np.zeros((terms.shape[1], 2))
    for _ in range(ROBUST_ROUNDS):
        distance = np.hypot(*residual.T)
        sigma = np.maximum(MAD_TO_SIGMA * np.median(np.abs(residual)), floor)
        weight = np.maximum(1.0 - np.square(distance / (BIWEIGHT_SIGMA * np.sqrt(2.0) * sigma)), 0.0)
        fitted = np.linalg.lstsq(terms * weight[:, None], off * weight[:, None], rcond=None)[0]
        residual = off - terms @ fitted
    return fitted


def _n_terms(degree: int) -> int:
    return (degree + 1) * (degree + 2) // 2


def _terms(uv: Points, degree: int) -> Points:
    """u^i v^j with i + j ≤ degree: float64[n, t]."""
    u, v = uv.T
    return np.column_stack([u**i * v**j for total in range(degree + 1) for i in range(total + 1) for j in (total - i,)])
