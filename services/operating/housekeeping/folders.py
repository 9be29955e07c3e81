"""The folders of derived images: what lies in them, and removing it.

Only regular files whose names the image store makes are seen, in folders that it makes. Each folder is opened from its
parent and never through a link, so that nothing outside the root is ever touched.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.image_store import TEMPORARY_FOLDER, TEMPORARY_SUFFIX
from services.operating.housekeeping.image_kinds import MADE

WHOLE = re.compile(r"(\d+)\.(?:fits|packed)")
TEMPORARY = re.compile(rf"(\d+)\.(?:fits|packed)\.[\w-]+{re.escape(TEMPORARY_SUFFIX)}")
NUMBER = re.compile(r"0|[1-9]\d{0,8}")
PID_LIMIT = 2**63


@dataclass(frozen=True)
class File:
    """A file of the image store; ``path`` is relative to the root."""

    kind: str
    folder: str
    name: str
    pid: int
    temporary: bool
    size_bytes: int
    modified: float  # Unix time, s

    @property
    def path(self) -> str:
        """As in table ``image``."""
        return f"{self.folder}/{self.name}"


@contextmanager
def _opened(root: Path, *names: str) -> Iterator[int]:
    """File descriptor of a folder below the root; links are refused by the system (NotADirectoryError)."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def observation_folders(root: Path) -> set[int]:
    """Numbers of observations that have a folder of any kind."""
    found: set[int] = set()
    for kind in MADE.derived:
        try:
            with _opened(root, kind) as folder:
                found |= {int(name) for name in os.listdir(folder) if NUMBER.fullmatch(name)}  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def files(root: Path, kind: str, number: int) -> Iterator[File]:
    """Files of one kind and observation, whole and unfinished ones.

    Raises:
        OSError: a folder cannot be read, or is a link.
    """
    folder = f"{kind}/{number}"
    for names in ((kind, str(number)), (kind, str(number), TEMPORARY_FOLDER)):
        try:
            with _opened(root, *names) as descriptor, os.scandir(descriptor) as entries:
                for entry in entries:
                    whole, temporary = WHOLE.fullmatch(entry.name), TEMPORARY.fullmatch(entry.name)
                    match = temporary or (whole if len(names) == 2 else None)
                    if match is None or int(match[1]) >= PID_LIMIT or not entry.is_file(follow_symlinks=False):
                        continue
                    try:
                        facts = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # renamed in this moment
                    yield File(
                        kind, "/".join(names), entry.name, int(match[1]), match is temporary,
                        facts.st_size, facts.st_mtime,
                    )  # fmt: skip
        except FileNotFoundError:
            continue
        except NotADirectoryError as error:
            raise NotADirectoryError(error.errno, "is a link or no folder", folder) from error


def open_image(root: Path, path: str) -> int:
    """File descriptor, for reading, of an image by its path as in table ``image``; no link is followed.

    Raises:
        OSError: it is not there, cannot be read, is a link, or its path is none that the image store makes.
    """
    kind, number, name = path.split("/") if path.count("/") == 2 else ("", "", "")
    if kind not in MADE.derived or not NUMBER.fullmatch(number) or not WHOLE.fullmatch(name):
        raise FileNotFoundError(errno.ENOENT, "is no image's path", path)
    with _opened(root, kind, number) as folder:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)


def remove(root: Path, file: File) -> bool:
    """Remove a file; False when somebody else was faster.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        with _opened(root, *file.folder.split("/")) as folder:
            os.unlink(file.name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
