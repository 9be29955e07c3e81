"""Files that are whole or not there, and that take the place of plain files alone."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from services.errors import ConfigurationError, TianyuError

TEMPORARY_SUFFIX = ".part"
STANDARD_OUTPUT = Path("-")
# Of the system: what has a name there, a terminal or an open file, is written to and never replaced.
SYSTEM_FOLDERS = (Path("/dev"), Path("/proc"))


class Place(Enum):
    """What becomes of a file that is written under a name."""

    FILE = "file"  # it takes the name when it is whole
    STREAM = "stream"  # its bytes go to a device or a pipe
    STANDARD_OUTPUT = "standard output"


def place_of(path: Path) -> Place:
    """What a name stands for; ``-`` is standard output.

    Raises:
        ConfigurationError: nothing can be written there: it is a folder, a disk or a socket.
    """
    if path == STANDARD_OUTPUT:
        return Place.STANDARD_OUTPUT
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Place.FILE
    except OSError as error:  # a loop of links, a folder that may not be looked into
        raise _unwritable(path, error, ConfigurationError) from error
    for is_kind, name in ((stat.S_ISDIR, "a folder"), (stat.S_ISBLK, "a disk"), (stat.S_ISSOCK, "a socket")):
        if is_kind(mode):
            raise ConfigurationError(f"{str(path)!r} is {name}, no file can be written there: choose another name")
    is_system = any(path.absolute().is_relative_to(folder) for folder in SYSTEM_FOLDERS)
    return Place.FILE if stat.S_ISREG(mode) and not is_system else Place.STREAM


def make_folder(folder: Path) -> None:
    """Make a folder for files, where it is not there.

    Raises:
        ConfigurationError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"folder {str(folder)!r} cannot be made: {error.strerror or error}") from error


@contextmanager
def whole_file(path: Path, failure: type[TianyuError] = ConfigurationError) -> Iterator[Path]:
    """A path, where no file is, to write to; what is there when the block ends takes the place of ``path``.

    A plain file is replaced, also behind a link; devices, pipes and standard output (``-``) get the bytes. After an
    error nothing is left.

    Raises:
        ConfigurationError: the path is a folder, a disk or a socket.
        failure: the file cannot be written there.
    """
    place = place_of(path)
    try:
        if place is not Place.FILE:
            with tempfile.TemporaryDirectory(prefix="tianyu-") as folder:
                temporary = Path(folder) / "output"
                yield temporary
                _pour(temporary, path, place)
            return
        final = path.resolve()
        temporary = final.with_name(f".{final.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
        try:
            yield temporary
            if final.exists():
                temporary.chmod(stat.S_IMODE(final.stat().st_mode))
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)
    except BrokenPipeError:  # who reads has enough
        raise
    except OSError as error:
        raise _unwritable(path, error, failure) from error


def _pour(temporary: Path, path: Path, place: Place) -> None:
    if place is Place.STANDARD_OUTPUT:
        if sys.stdout.isatty() and not is_text(temporary):
            raise ConfigurationError("this would fill the terminal with bytes: name a file, or send them into one by >")
        sys.stdout.flush()
        with temporary.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()
        return
    with temporary.open("rb") as file, path.open("wb") as device:
        shutil.copyfileobj(file, device)


def is_text(path: Path, looked_at: int = 1 << 16) -> bool:
    """Whether the first bytes of a file are text in UTF-8 without control characters."""
    with path.open("rb") as file:
        head = file.read(looked_at)
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if len(head) < looked_at or error.end < len(head):  # not a character that was cut
            return False
        text = head[: error.start].decode()
    return all(character.isprintable() or character in "\t\n\r\f" for character in text)


def _unwritable(path: Path, error: OSError, failure: type[TianyuError]) -> TianyuError:
    return failure(
        f"file {str(path)!r} cannot be written: {error.strerror or error}; is its folder there and writable, and "
        "the disk not full?"
    )
