"""A day that was not counted up at midnight: frames whose times go back by a day while their numbers go on."""

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import pairwise

from services.ingest.headers import FrameFacts
from services.ingest.local_clocks import TWICE_NOTE

LONGEST_NIGHT_D = 0.7
LONGEST_PAUSE_D = 1.0 / 24.0  # over midnight, between frames of one series
NOTE = "the day was not counted up at midnight, by the numbers of the files: taken for a day later"
HOUR_D = 1.0 / 24.0
SUMMER_NOTE = "taken after clocks were set back, by the numbers of the files"

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.ASCII)


def over_midnight(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """The frames, those after such a midnight a day later, with a note; in the same order.

    A series is of one folder, camera and name, with consecutive numbers. It goes over midnight where its times go back
    once, by a day less a short pause, and nowhere else: what two nights put into one folder goes on or starts anew.
    """
    found = list(frames)
    series: dict[Hashable, list[tuple[int, int, float]]] = defaultdict(list)
    for index, frame in enumerate(frames):
        named = _NUMBERED.fullmatch(frame.path.name)
        if named is not None and frame.start_utc is not None:
            key = (frame.path.parent, named[1], named[3], frame.instrument, frame.telescope)
            series[key].append((int(named[2]), index, frame.start_utc))
    for members in series.values():
        for index in _after_midnight(sorted(members)):
            found[index] = _later(frames[index], 1.0, NOTE)
        for index in _after_summer(sorted(members), frames):
            found[index] = _later(frames[index], HOUR_D, SUMMER_NOTE)
    return found


def _after_summer(members: Sequence[tuple[int, int, float]], frames: Sequence[FrameFacts]) -> list[int]:
    """Indices of those in the hour that comes twice that were taken the second time: times go back between them."""
    steps = [place for place, (one, other) in enumerate(pairwise(members), start=1) if other[2] < one[2]]
    if len(steps) != 1:
        return []
    [place] = steps
    is_an_hour = members[place - 1][2] - members[place][2] <= HOUR_D
    return [index for _, index, _ in members[place:] if frames[index].is_twice] if is_an_hour else []


def _after_midnight(members: Sequence[tuple[int, int, float]]) -> list[int]:
    """Indices of what comes after the one step back of nearly a day."""
    back = [place for place, (one, other) in enumerate(pairwise(members), start=1) if other[2] < one[2]]
    if len(back) != 1:
        return []
    before, after = members[back[0] - 1], members[back[0]]
    is_next = after[0] == before[0] + 1 and 0.0 <= after[2] + 1.0 - before[2] <= LONGEST_PAUSE_D
    is_one_night = members[-1][2] - after[2] < LONGEST_NIGHT_D
    return [index for _, index, _ in members[back[0] :]] if is_next and is_one_night else []


def _later(frame: FrameFacts, days: float, note: str) -> FrameFacts:
    start, middle = ((jd or 0.0) + days for jd in (frame.start_utc, frame.jd_utc))
    return replace(
        frame, start_utc=start, jd_utc=middle, notes=(*(one for one in frame.notes if one != TWICE_NOTE), note)
    )
