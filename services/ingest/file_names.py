"""File names: which files of a folder are frames by name, and how any name is safe in a message."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from services.errors import ConfigurationError
from services.log import get_logger

FRAME_SUFFIXES = (".fits", ".fit", ".fts", ".fz", ".fits.gz", ".fit.gz", ".fts.gz")

log = get_logger("ingest")


def quoted(path: Path) -> str:
    """The path in quotes on one line, whatever bytes are in it: a name can forge no line of a log."""
    return repr(str(path))


def find_frames(
    folder: Path, *, tell: bool = True, known: Collection[str] = ()
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """FITS files under ``folder`` by name, sorted, and what could not be looked at with the reason.

    Symbolic links are followed, each folder is searched once. Files that are no frames by name, hidden files and
    folders, and folders met twice are left out and, to ``tell`` of them, counted in the log; paths of files that are
    ``known`` are left out too.

    Raises:
        ConfigurationError: ``folder`` is missing, not a folder or not readable.
    """
    return _Search(tell, known).run(folder)


class _Search:
    def __init__(self, tell: bool, known: Collection[str]) -> None:
        self._tell, self._known = tell, known
        self._frames: list[Path] = []
        self._problems: list[tuple[Path, str]] = []
        self._left_out: Counter[str] = Counter()
        self._visited: set[tuple[int, int]] = set()
        self._folders: list[Path] = []
        self._links: list[Path] = []  # searched last, so that a folder keeps its own name where it has two

    def run(self, folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
        try:
            self._scan(folder)
        except NotADirectoryError as error:
            raise ConfigurationError(f"{quoted(folder)} is not a folder: give the folder of the frames") from error
        except OSError as error:
            raise ConfigurationError(
                f"folder {quoted(folder)} cannot be read: {error.strerror}; check its name and its permissions"
            ) from error
        while self._folders or self._links:
            current = (self._folders or self._links).pop()
            try:
                self._scan(current)
            except OSError as error:
                self._problems.append(
                    (current, f"folder {quoted(current)} cannot be read: {error.strerror}; check its permissions")
                )
        for reason, count in self._left_out.items() if self._tell else ():
            log.info("left out", folder=quoted(folder), reason=reason, count=count)
        self._problems.sort(key=lambda problem: os.fsencode(problem[0]))
        return sorted(self._frames, key=os.fsencode), self._problems

    def _scan(self, folder: Path) -> None:
        status = folder.stat()
        identity = status.st_dev, status.st_ino
        if identity in self._visited:
            self._left_out["folder met twice"] += 1
            return
        with os.scandir(folder) as entries:
            new = (entry for entry in entries if entry.path not in self._known)
            listed = sorted(new, key=lambda entry: os.fsencode(entry.name), reverse=True)
        self._visited.add(identity)
        for entry in listed:
            self._look_at(Path(entry.path), entry)

    def _look_at(self, path: Path, entry: os.DirEntry[str]) -> None:
        is_frame = entry.name.lower().endswith(FRAME_SUFFIXES)
        if entry.name.startswith("."):
            self._left_out["hidden"] += 1
        elif entry.is_dir(follow_symlinks=False):
            self._folders.append(path)
        elif entry.is_symlink() and path.is_dir():
            self._links.append(path)
        elif not is_frame:
            self._left_out["not a frame by name"] += 1
        elif path.is_file() if entry.is_symlink() else entry.is_file():  # told by the listing of the folder
            self._frames.append(path)
        else:
            what = "a link to nothing" if entry.is_symlink() else "no regular file"
            self._problems.append((path, f"{quoted(path)} is {what}: remove it, or put the frame in its place"))
