"""Where a frame lies whose place is roughly known: a few stars are enough where a blind search would need many."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of
from pipeline.registration.alignment import (
    CLIP_RMS,
    FIRST_TOLERANCE,
    FIT_STARS,
    FIXED_RADIUS,
    FLOOR_TOLERANCE,
    LAST_TOLERANCE,
    ROBUST_MATCHES,
    Alignment,
    Points,
    by_flux,
    chance_of_matches,
    least_squares,
    matched,
    positions,
    robust_fit,
)

SEEK_STARS = 60  # brightest stars of each list whose pairs propose a shift: 3,600 offsets
ROUNDS = 4
FLUX_FACTOR = 3.0  # within which the same star's light agrees, relative to that of the others
FAINTEST, BRIGHTEST = 0.03, 3.0  # of its light in the reference frame: what clouds leave of a star, and none gains
SMALLEST_ROOM_PX = 1.0  # an expected place is not known better


def align_near(
    reference: NDArray[Any],
    frame: NDArray[Any],
    shape: tuple[int, int],
    expected: Alignment,
    reach: float,
    chance: float,
) -> Alignment | None:
    """Align a frame's stars with the reference's about an expected alignment.

    Rotation and scale are the expected ones unless ten stars or more bear out their own; the shift is that of the stars
    there are, one being enough where the room is small.

    Args:
        reference, frame: STAR_DTYPE[n] and STAR_DTYPE[m].
        shape: (ny, nx) of the frames.
        expected: the rotation and scale, and the shift about which is sought.
        reach: px, by which the shift may differ.
        chance: probability, for unrelated lists, of as many matches within the reach, below which they are believed.

    Returns:
        None where no alignment is better than chance.
    """
    first, second = by_flux(reference)[:FIT_STARS], by_flux(frame)[:FIT_STARS]
    a, b = positions(first), positions(second)
    if np.hypot(expected.dx, expected.dy) > LAST_TOLERANCE:
        # Where the sky has moved, what stayed on its pixels is no star.
        fixed_a, fixed_b = matched(a, b, Alignment.identity(shape), FIXED_RADIUS)
        first, second = np.delete(first, fixed_a), np.delete(second, fixed_b)
        a, b = positions(first), positions(second)
    start = _most_agreed(a, b, expected, reach)
    if start is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = second["flux"][None, :] / first["flux"][:, None]
    found, tolerance = start, FIRST_TOLERANCE
    for _ in range(ROUNDS):
        i, j = matched(a, b, found, tolerance)
        i, j = _of_like_light(i, j, ratio)
        if not len(i):
            return None
        found = least_squares(a[i], b[j], found, turn=len(i) >= ROBUST_MATCHES)
        tolerance = float(np.clip(CLIP_RMS * _error(found), FLOOR_TOLERANCE, LAST_TOLERANCE))
    if len(i) >= ROBUST_MATCHES:
        found = robust_fit(a[i], b[j], found)
    trials = (max(reach, SMALLEST_ROOM_PX) / tolerance) ** 2
    return found if chance_of_matches(found, a, b, shape, tolerance) * trials < chance else None


def _error(found: Alignment) -> float:
    """Rms of a match, px, with what the fitted shift took of it."""
    return found.rms * float(np.sqrt(found.matches / max(found.matches - 1, 1)))


def _most_agreed(a: Points, b: Points, expected: Alignment, reach: float) -> Alignment | None:
    """The expected alignment with the shift within reach that most pairs of stars agree on, the nearest of equals."""
    if not len(a) or not len(b):
        return None
    offsets = (b[None, :SEEK_STARS] - expected.to_frame(a[:SEEK_STARS])[:, None]).reshape(-1, 2)
    size = np.hypot(*offsets.T)
    # Pairs about a shift at the rim may lie outside.
    near = size <= reach + LAST_TOLERANCE
    offsets, size = offsets[near], size[near]
    if not len(offsets):
        return None
    votes = tree_of(offsets).query_ball_point(offsets, LAST_TOLERANCE, return_length=True)  # type: ignore[no-untyped-call]
    votes = np.where(size <= reach, votes, 0)
    best = int(np.lexsort((size, -votes))[0])
    if votes[best] == 0:
        return None
    dx, dy = offsets[best].tolist()
    return replace(expected, dx=expected.dx + dx, dy=expected.dy + dy)


def _of_like_light(
    i: NDArray[np.intp], j: NDArray[np.intp], ratio: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The matches whose light is to the reference's as that of the others; a hot pixel's is not."""
    light = ratio[i, j]
    possible = (light > FAINTEST) & (light < BRIGHTEST)
    if possible.any():
        usual = float(np.median(light[possible]))
        possible &= (light < FLUX_FACTOR * usual) & (light * FLUX_FACTOR > usual)
    return i[possible], j[possible]
