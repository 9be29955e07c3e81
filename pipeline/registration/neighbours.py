"""What the frames before and behind one let expect of its alignment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.registration.alignment import SIMILARITY_MATCHES, Alignment
from pipeline.statistics import MAD_TO_SIGMA
from pipeline.units import signed_angle

TURN_FRAMES = 15  # on each side, whose rotation and scale tell a frame's
SHIFT_FRAMES = 6  # on each side, whose shift tells a frame's: guiding wanders
LINE_FRAMES = 4  # fewer make no line, and the nearest counts
FEWEST_NEIGHBOURS = 3  # on both sides together; fewer cannot contradict a frame
REACH_PX = 3.0  # of guiding, from one frame to the next
REACH_SIGMA = 4.0  # of the neighbours' scatter about their line
MOST_REACH = 0.5  # of the field's diagonal: beyond, neighbours tell nothing of a shift
TURN_PX = 2.0  # at the corners, that a rotation may be off

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """An alignment, and by how much a frame's may differ: its shift by reach, its rotation and scale by turn; px.

    The turn is what it moves a corner by, half a diagonal away.
    """

    alignment: Alignment
    reach: float
    turn: float
    arm: float

    def agrees(self, found: Alignment) -> bool:
        """Whether an alignment is what is expected."""
        rotation = np.radians(abs(signed_angle(found.rotation - self.alignment.rotation)))
        scale = abs(found.scale - self.alignment.scale)
        shift = np.hypot(found.dx - self.alignment.dx, found.dy - self.alignment.dy)
        return bool(shift <= self.reach and max(rotation, scale) * self.arm <= self.turn)


class Neighbours:
    """The alignments of a night in order of time; ``known`` may change, None where there is none.

    Args:
        known: one a frame.
        shape: (ny, nx) of the frames.
    """

    def __init__(self, known: list[Alignment | None], shape: tuple[int, int]) -> None:
        self.known = known
        self._arm = float(np.hypot(*shape)) / 2

    def expect(self, number: int) -> list[Expected]:
        """What the frames before, those behind, and both together tell of a frame, the closest first."""
        return sorted(self._expected(number), key=lambda one: one.reach)

    def bears_out(self, number: int, found: Alignment) -> bool:
        """Whether an alignment is one that the frames before, those behind or both let expect."""
        return any(expected.agrees(found) for expected in self._expected(number))

    def _expected(self, number: int) -> Iterator[Expected]:
        """One after the other, in no order: most frames agree with the first."""
        before, behind = self._side(number, -1), self._side(number, 1)
        found = []
        for side, other in ((before, behind), (behind, before)):
            if side:
                found.append(self._told(number, side[:SHIFT_FRAMES], self._turn(number, side, other)))
                yield found[-1]
        if before and behind and self._same_orientation(before[0], behind[0]):
            around = [*before[:SHIFT_FRAMES], *behind[:SHIFT_FRAMES]]
            both = self._told(number, around, self._turn(number, before, behind))
            # Across a dither or a new pointing, both sides together tell less than each.
            if both.reach <= max(one.reach for one in found):
                yield both

    def can_contradict(self, number: int) -> bool:
        """Whether a frame has neighbours enough that one of them may be wrong."""
        return len(self._side(number, -1)) + len(self._side(number, 1)) >= FEWEST_NEIGHBOURS

    def _side(self, number: int, step: int) -> list[int]:
        """Numbers of the nearest known frames on one side, of the orientation of the nearest, nearest first."""
        side: list[int] = []
        place = number + step
        while 0 <= place < len(self.known) and len(side) < TURN_FRAMES:
            if self.known[place] is not None:
                if side and not self._same_orientation(side[0], place):
                    break
                side.append(place)
            place += step
        return side

    def _alignments(self, numbers: Sequence[int]) -> list[Alignment]:
        return [one for one in (self.known[number] for number in numbers) if one is not None]

    def _same_orientation(self, first: int, second: int) -> bool:
        one, other = self._alignments([first, second])
        return abs(signed_angle(one.rotation - other.rotation)) < 90.0

    def _told(self, number: int, frames: list[int], turned: tuple[float, float, float]) -> Expected:
        rotation, scale, turn = turned
        known = self._alignments(frames)
        shift, scatter = _lines_at(number, np.array(frames), np.array([(one.dx, one.dy) for one in known]))
        distance = min(abs(number - place) for place in frames)
        # A line foretells as many frames as made it; without one, each frame may be off by what one is.
        guiding = REACH_PX * (distance if len(frames) < LINE_FRAMES else 1)
        reach = guiding + REACH_SIGMA * float(np.hypot(*scatter)) * (1 + distance / len(frames))
        dx, dy = shift.tolist()
        expected = replace(known[0], dx=dx, dy=dy, rotation=rotation, scale=scale, matches=0, rms=0.0)
        return Expected(expected, min(reach, 2 * MOST_REACH * self._arm), turn, self._arm)

    def _turn(self, number: int, side: list[int], other: list[int]) -> tuple[float, float, float]:
        """Rotation and scale by one side, and by both where they agree; and how far they may be off, px at a corner."""
        value, scatter = self._turn_at(number, side)
        if other and self._same_orientation(side[0], other[0]):
            opposite, other_scatter = self._turn_at(number, other)
            off = np.array([np.radians(signed_angle(value[0] - opposite[0])), value[1] - opposite[1]]) * self._arm
            if np.abs(off).max() < TURN_PX + REACH_SIGMA * max(scatter, other_scatter):
                value, scatter = self._turn_at(number, [*side, *other])
        return signed_angle(float(value[0])), float(value[1]), TURN_PX + REACH_SIGMA * scatter

    def _turn_at(self, number: int, side: list[int]) -> tuple[Values, float]:
        """(rotation, scale) at a frame, and the scatter about their lines, px at a corner."""
        nearest = self._alignments(side[:1])[0]
        # Two stars were fitted by a shift alone.
        known = list(zip(side, self._alignments(side), strict=True))
        known = [(place, one) for place, one in known if one.matches >= SIMILARITY_MATCHES] or known
        turns = [(nearest.rotation + signed_angle(one.rotation - nearest.rotation), one.scale) for _, one in known]
        value, scatter = _lines_at(number, np.array([place for place, _ in known]), np.array(turns))
        return value, float(max(np.radians(scatter[0]), scatter[1])) * self._arm


def _lines_at(place: int, places: NDArray[np.int64], values: Values) -> tuple[Values, Values]:
    """Robust lines through values[n, k] over places[n], at a place: float64[k], and the scatter about them float64[k].

    Theil's: the median of all slopes, which three bad frames of ten do not move. Of few values the nearest counts, and
    they scatter by their range.
    """
    if len(places) < LINE_FRAMES:
        nearest = values[np.argmin(np.abs(places - place))]
        return nearest, np.ptp(values, axis=0)
    i, j = _pairs(len(places))
    slope = _median((values[j] - values[i]) / (places[j] - places[i])[:, None])
    level = values - slope * (places - place)[:, None]
    centre = _median(level)
    return centre, MAD_TO_SIGMA * _median(np.abs(level - centre))


@cache
def _pairs(number: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of so many values each with each behind it."""
    return np.triu_indices(number, 1)


def _median(values: Values) -> Values:
    """Along the first axis, of finite values: numpy's own takes longer to get ready than to find it."""
    ordered, middle = np.sort(values, axis=0), len(values) // 2
    median: Values = ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return median
