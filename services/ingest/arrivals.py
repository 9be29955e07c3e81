"""A folder that fills: a frame is taken once it is whole and nobody writes to it any more.

Names are listed again and again, for no kernel tells what another machine writes to a network disk. Files that were
taken are looked at seldom, for corrected headers.
"""

from dataclasses import dataclass
from pathlib import Path

from services.errors import DataError, TransientError
from services.ingest.beside import Registered
from services.ingest.file_names import find_frames, quoted
from services.ingest.frame_file import require_written
from services.ingest.headers import FrameFacts
from services.ingest.raw_folder import Folder, FrameReader
from services.ingest.told_elsewhere import Told

SETTLED_S = 1.0  # without a change of size or time, and whole: the frame is written
ABANDONED_S = 60.0  # without a change, but not whole: nobody writes to it any more
RESCAN_S = 60.0  # between looks at files that were taken

UNNUMBERED = Told(notes=("no line of the log is used: several numbers in its name, and no other tells which counts",))

State = tuple[int, int]  # bytes, ns of its last change


@dataclass
class _Seen:
    state: State
    since: float
    tried: float = 0.0  # how long it had been unchanged when it was last opened


class Arrivals:
    """The frames of a folder as they come. Times are any clock's that goes on evenly, in seconds."""

    def __init__(self, folder: Path, reader: FrameReader, settled_s: float = SETTLED_S) -> None:
        self._folder = folder
        self._reader = reader
        self._settled_s = settled_s
        self._pending: dict[Path, _Seen] = {}
        self._taken: dict[Path, State] = {}
        self._names: set[str] = set()  # of these, but of those that were changed since
        self._frames: dict[Path, FrameFacts] = {}  # that were taken and are to be registered
        self._registered = Registered()
        self._unreadable: dict[Path, str] = {}
        self._by_header: dict[tuple[str, int], Path] = {}
        self._rescan_at: float | None = None
        self.notes: list[str] = []  # of the last look

    @property
    def pending(self) -> int:
        """How many files are there that are not whole yet, or were changed just now."""
        return len(self._pending)

    def look(self, now: float) -> int:
        """Look at the folder; returns how many frames, or files that will never be one, were taken.

        Raises:
            ConfigurationError: the folder cannot be read.
        """
        self.notes = []
        rescan = self._rescan_at is None or now >= self._rescan_at
        if rescan:
            self._rescan_at = now + RESCAN_S
        paths, problems = find_frames(self._folder, tell=False, known=() if rescan else self._names)
        self._forget_vanished(paths)
        for path in paths:
            self._look_at(path, now)
        told = self._reader.told(list(self._pending), self._taken) if self._pending else {}
        taken = sum(self._take(path, seen, now, told.get(path)) for path, seen in list(self._pending.items()))
        for path, reason in problems:
            taken += self._unreadable.get(path) != reason
            self._unreadable[path] = reason
        return taken

    def folder(self) -> Folder:
        """What was taken and is not registered, beside what tells how it is to be understood."""
        new = list(self._frames.values())
        return self._reader.together([*self._registered.beside(new), *new], list(self._unreadable.items()))

    def is_registered(self) -> None:
        """All that was taken by now need not be registered any more."""
        self._registered.add(self._frames.values())
        self._frames = {}

    def _forget_vanished(self, paths: list[Path]) -> None:
        """What was taken stays a frame wherever its file went."""
        if self._pending:
            there = set(paths)
            self._pending = {path: seen for path, seen in self._pending.items() if path in there}

    def _look_at(self, path: Path, now: float) -> None:
        try:
            status = path.stat()
        except OSError:  # it was renamed just now, or the disk is away: the next look tells
            return
        state = status.st_size, status.st_mtime_ns
        seen = self._pending.get(path)
        if self._taken.get(path) != state and (seen is None or seen.state != state):
            self._pending[path] = _Seen(state, now)
            self._names.discard(str(path))

    def _take(self, path: Path, seen: _Seen, now: float, told: Told | None) -> bool:
        """Take a file that has been unchanged for long enough, if it is whole; looks at it grow rarer."""
        unchanged = now - seen.since
        if unchanged < max(self._settled_s, 2.0 * seen.tried):
            return False
        abandoned = unchanged >= ABANDONED_S
        if told is None:
            if not abandoned:
                return False
            told = UNNUMBERED
        seen.tried = unchanged
        frame, reason = None, ""
        try:
            frame = self._reader.read(path, told)
            if not abandoned:
                require_written(path)
            status = path.stat()
        except DataError as error:
            if not abandoned:
                return False
            frame, reason = None, str(error)
        except (TransientError, OSError):
            return False
        if frame is not None and (status.st_size, status.st_mtime_ns) != seen.state:
            return False  # it was written to meanwhile: the next look begins anew
        del self._pending[path]
        self._taken[path] = seen.state
        self._names.add(str(path))
        self._unreadable.pop(path, None)
        if frame is None:
            self._unreadable[path] = reason
            return True
        before = self._by_header.get((frame.header, frame.size))
        is_known = path in self._frames or path in self._registered
        if before is not None and before != path and not is_known and not before.exists():
            self.notes.append(f"{quoted(path)} was taken before under the name {quoted(before)}: not taken again")
            return False
        self._by_header[frame.header, frame.size] = path
        if path in self._registered:  # its header was corrected, which may tell of all
            self._frames = {one.path: one for one in self._registered} | self._frames
            self._registered = Registered()
        self._frames[path] = frame
        return True
