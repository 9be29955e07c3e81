"""The alignments of a night, judged together: each agrees with its neighbours in time or is proven by many stars."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.registration.alignment import CHANCE, Alignment, align, may_be_fixed_pattern
from pipeline.registration.fixed_detections import FEWEST_FRAMES, MOVED_PX, elsewhere, seen_often, stays_put
from pipeline.registration.near_alignment import align_near
from pipeline.registration.neighbours import Neighbours

PROVEN_MATCHES = 8  # stars that need no neighbours
PROVEN_SHARE = 0.2  # of the shorter list that they must be: of lists of hundreds, eight may agree by chance
# A frame's stars are where its neighbours say in nineteen of twenty cases, so that less proof is needed there.
NEAR_CHANCE = 0.02
TOLD_SHARE = 0.5  # of the frames in doubt, that what is no hot pixel must tell
UNTOLD = "neither its stars nor its neighbours tell where it lies"

Stars = NDArray[Any]


@dataclass(frozen=True)
class Judged:
    """The alignment of a frame after the night was looked at, None where there is none to be believed.

    ``renewed``: it was found by the neighbours', not alone. ``reason``: why it is not believed, else empty;
    an alignment that was found alone and contradicts the others is kept beside its reason.
    """

    alignment: Alignment | None
    renewed: bool = False
    reason: str = ""


def align_night(
    alone: Sequence[Alignment | None],
    star_counts: Sequence[int],
    reference: Stars,
    stars_of: Callable[[int], Stars],
    shape: tuple[int, int],
) -> list[Judged]:
    """Judge the alignments of a night's frames, in order of time, and find again those that their neighbours tell.

    An alignment by eight stars or more, and a fifth of the shorter list, stands for itself: dithers, meridian flips and
    new pointings are honest. Any other must agree with what the neighbours before or behind let expect; then its
    rotation and scale, which few stars tell badly, are taken from them. One that does not agree, or that could not be
    found alone, is sought where the neighbours say, and then in the whole field with their rotation and scale.

    Args:
        alone: what `alignment.align` found for each frame alone; None where that was nothing.
        star_counts: stars in each frame's list.
        reference: STAR_DTYPE[n], the reference's list.
        stars_of: the list of a frame, by its number; asked for those that are in doubt.
        shape: (ny, nx) of the frames.
    """
    proven = _proven(alone, star_counts, len(reference))
    lists = {number: stars_of(number) for number in np.flatnonzero(~np.array(proven, np.bool_)).tolist()}
    of_lists = [alone[number] for number in lists]
    hot = stays_put(reference, list(lists.values()), of_lists)
    # Hot pixels may have been the most of what proved a frame.
    lists |= {number: stars_of(number) for number, one in enumerate(alone) if number not in lists and _of_few(one, hot)}
    judged = _judged(alone, star_counts, reference, hot, lists, shape)
    still = seen_often(reference, list(lists.values()))
    if (still & ~hot).any():
        # Many hot pixels may outdo few stars in each frame. Do the other detections tell of a sky that moves?
        others = _judged(alone, star_counts, reference, still, lists, shape)
        if _tell_of_motion([others[number] for number in lists]):
            return others
    return judged


def contradicting(alone: Sequence[Alignment | None], star_counts: Sequence[int], shape: tuple[int, int]) -> list[bool]:
    """Which alignments of a night contradict their neighbours', where nothing can be found again; as `align_night`."""
    kept = _without_contradicting(alone, _proven(alone, star_counts, max(star_counts, default=0)), shape)
    return [one is not None and left is None for one, left in zip(alone, kept, strict=True)]


def _judged(
    alone: Sequence[Alignment | None],
    star_counts: Sequence[int],
    reference: Stars,
    hot: NDArray[np.bool_],
    lists: Mapping[int, Stars],
    shape: tuple[int, int],
) -> list[Judged]:
    """The night, if these detections of the reference, bool[n], are hot pixels; ``lists``: of the frames in doubt."""
    alone = list(alone)
    if hot.any():
        places, reference = reference[hot], reference[~hot]
        lists = {number: elsewhere(stars, places) for number, stars in lists.items()}
        for number, stars in lists.items():
            found = alone[number]
            if found is None or may_be_fixed_pattern(found) or _of_few(found, hot):
                alone[number] = _align_alone(reference, stars, shape)
    proven = _proven(alone, star_counts, len(reference))
    night = Neighbours(_without_contradicting(alone, proven, shape), shape)
    judged = [
        Judged(one if stands else None, reason="" if stands else UNTOLD)
        for one, stands in zip(alone, proven, strict=True)
    ]
    forward = range(len(alone))
    # To and fro: what one side could not tell may be told by frames that were found on the first way.
    for number in (*forward, *reversed(forward)):
        if judged[number].reason:
            judged[number] = _judge(night, number, alone[number], reference, lists[number], shape)
            night.known[number] = None if judged[number].reason else judged[number].alignment
    return judged


def _of_few(found: Alignment | None, hot: NDArray[np.bool_]) -> bool:
    """Whether hot pixels may be half of the matches; the reference itself has none."""
    return found is not None and 0 < found.matches <= 2 * int(np.count_nonzero(hot))


def _tell_of_motion(judged: Sequence[Judged]) -> bool:
    """Whether most of these frames are told, and most of those have moved."""
    shifts = [np.hypot(one.alignment.dx, one.alignment.dy) for one in judged if one.alignment and not one.reason]
    return len(shifts) >= max(FEWEST_FRAMES, TOLD_SHARE * len(judged)) and float(np.median(shifts)) > MOVED_PX


def _align_alone(reference: Stars, stars: Stars, shape: tuple[int, int]) -> Alignment | None:
    try:
        return align(reference, stars, shape)
    except UnusableDataError:
        return None


def _proven(alone: Sequence[Alignment | None], star_counts: Sequence[int], stars: int) -> list[bool]:
    return [
        one is not None and _is_proven(one, min(count, stars)) for one, count in zip(alone, star_counts, strict=True)
    ]


def _is_proven(found: Alignment, stars: int) -> bool:
    if found.matches == 0:  # the reference itself
        return True
    return found.matches >= PROVEN_MATCHES and found.matches >= PROVEN_SHARE * stars and not may_be_fixed_pattern(found)


def _without_contradicting(
    alone: Sequence[Alignment | None], proven: list[bool], shape: tuple[int, int]
) -> list[Alignment | None]:
    """The alignments without those that contradict their neighbours'."""
    everybody = Neighbours(list(alone), shape)
    # Hot pixels stay where they are for as long as clouds hide the stars: their frames do not bear out each other.
    moving = Neighbours(
        [
            one if stands or one is None or not may_be_fixed_pattern(one) else None
            for one, stands in zip(alone, proven, strict=True)
        ],
        shape,
    )
    kept: list[Alignment | None] = []
    for number, (one, stands) in enumerate(zip(alone, proven, strict=True)):
        if one is not None and not stands:
            neighbours = moving if may_be_fixed_pattern(one) else everybody
            one = one if not neighbours.can_contradict(number) or neighbours.bears_out(number, one) else None
        kept.append(one)
    return kept


def _judge(
    night: Neighbours,
    number: int,
    alone: Alignment | None,
    reference: Stars,
    stars: Stars,
    shape: tuple[int, int],
) -> Judged:
    expected = night.expect(number)
    if not expected:
        return Judged(alone, reason="" if alone is not None else UNTOLD)
    agrees = alone is not None and (not night.can_contradict(number) or any(one.agrees(alone) for one in expected))
    if agrees and alone is not None and alone.matches >= PROVEN_MATCHES:
        return Judged(alone)
    near = [align_near(reference, stars, shape, one.alignment, one.reach, NEAR_CHANCE) for one in expected]
    if all(one is None for one in near) and not agrees:
        anywhere = float(np.hypot(*shape))
        near = [align_near(reference, stars, shape, one.alignment, anywhere, CHANCE) for one in expected]
    best = max((one for one in near if one is not None), key=lambda one: one.matches, default=None)
    if best is not None and not (agrees and alone is not None and alone.matches > best.matches):
        return Judged(best, renewed=True)
    if agrees or alone is None:
        return Judged(alone, reason="" if agrees else UNTOLD)
    return Judged(alone, reason=contradiction(alone))


def contradiction(alone: Alignment) -> str:
    """What is said of an alignment that is not believed."""
    return (
        f"alignment by {alone.matches} stars (shift {alone.dx:.1f}, {alone.dy:.1f} px, rotation {alone.rotation:.2f} "
        "degrees) contradicts that of the frames before and behind"
    )
