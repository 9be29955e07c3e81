"""Of a night that grows, the registered frames beside which new ones are understood as they are beside all.

What a frame is taken for is told by others: names that count frames, the night, the side of Greenwich, a midnight, a
copy. Of many frames that are alike some tell as much as all: the first, the last, some between, those before and after
times go back, and those of a new one's time.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

from services.ingest.headers import FrameFacts

FIRST, BETWEEN, LAST = 40, 120, 40
LIGHT = "light"


class Registered:
    """Frames that were registered, in the order in which they came."""

    def __init__(self) -> None:
        self._frames: list[FrameFacts] = []
        self._paths: set[Path] = set()
        self._alike: defaultdict[Hashable, list[int]] = defaultdict(list)
        self._of_time: defaultdict[float | None, list[int]] = defaultdict(list)
        self._turns: set[int] = set()

    def __iter__(self) -> Iterator[FrameFacts]:
        return iter(self._frames)

    def __contains__(self, path: Path) -> bool:
        return path in self._paths

    def add(self, frames: Iterable[FrameFacts]) -> None:
        """These were registered too."""
        for frame in frames:
            number, alike = len(self._frames), self._alike[_alike(frame)]
            if alike and (frame.start_utc or 0.0) < (self._frames[alike[-1]].start_utc or 0.0):
                self._turns |= {alike[-1], number}
            self._frames.append(frame)
            self._paths.add(frame.path)
            alike.append(number)
            self._of_time[frame.start_utc].append(number)

    def beside(self, new: Sequence[FrameFacts]) -> list[FrameFacts]:
        """Those that tell what new frames are; all where one of these is like none of them, or no light frame."""
        if any(frame.kind != LIGHT or _alike(frame) not in self._alike for frame in new):
            return self._frames
        told = self._turns.union(*(self._of_time.get(frame.start_utc, ()) for frame in new))
        for alike in self._alike.values():
            between = alike[FIRST:-LAST]
            told.update(alike[:FIRST], between[:: len(between) // BETWEEN + 1], alike[-LAST:])
        return [self._frames[number] for number in sorted(told)]


def _alike(frame: FrameFacts) -> Hashable:
    """What frames share that are one series of one observation; nearly equal exposures may differ in it."""
    camera = (frame.instrument, frame.telescope, frame.binning, frame.shape, frame.setting, frame.is_float)
    read = (frame.reduced, "" if frame.read is None else frame.read.words)
    return frame.path.parent, frame.kind, frame.target, frame.filter, *camera, *read, f"{frame.exposure:.1e}"
