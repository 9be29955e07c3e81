"""The site's disk: what its errors mean, and whether it can take what is made."""

import errno
import os
from itertools import islice
from pathlib import Path

from services.errors import OF_SURROUNDINGS, SurroundingsError, TransientError

MISSING = (errno.ENOENT, errno.ENOTDIR)
NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)  # errors of a name; all others may pass
# What an operator did to the disk, or one machine's mount: work that failed for it would have to be looked for.
DENIED = (errno.EACCES, errno.EPERM)
NEIGHBOURS = 3  # files of a folder that are read to see whether its disk is well
LOOK_BYTES = 4096
CHUNK_BYTES = 1 << 20


def error_of(error: OSError, message: str) -> TransientError:
    """An error of a file whose disk may be at fault, as an error of the surroundings where it is by its number."""
    return (SurroundingsError if error.errno in OF_SURROUNDINGS or error.errno in DENIED else TransientError)(message)


def is_away(folder: Path) -> bool:
    """Whether a folder holds no file or folder that is not hidden, as where a disk should be mounted and is not."""
    try:
        with os.scandir(folder) as entries:
            return all(entry.name.startswith(".") for entry in entries)
    except OSError:
        return True


def others_can_be_read(file: Path) -> bool:
    """Whether the disk gives what lies beside a file: then that file alone is at fault."""
    try:
        with os.scandir(file.parent) as entries:
            others = (Path(entry) for entry in entries if entry.name != file.name and entry.is_file())
            return any(map(_can_be_read, islice(others, NEIGHBOURS)))
    except OSError:
        return False


def _can_be_read(file: Path) -> bool:
    try:
        with file.open("rb", buffering=0) as opened:
            if hasattr(os, "posix_fadvise"):  # from the disk: memory may have kept what it gave before
                os.posix_fadvise(opened.fileno(), 0, LOOK_BYTES, os.POSIX_FADV_DONTNEED)
            return bool(opened.read(LOOK_BYTES))
    except OSError:
        return False


def hindrance(root: Path, min_free_bytes: int) -> str:
    """Why nothing can be written below the root, or should not be begun; empty where all is well."""
    try:
        disk = os.statvfs(root)
    except OSError as error:
        return f"root folder {str(root)!r} is away: {error.strerror}; is the disk mounted on this machine?"
    if disk.f_flag & os.ST_RDONLY:
        return f"root folder {str(root)!r} is on a disk that is read-only: mount it to be written"
    free = disk.f_bavail * disk.f_frsize
    if free >= min_free_bytes:
        return ""
    return (
        f"the disk of root folder {str(root)!r} is full: {free / 1e6:.0f} MB free, {min_free_bytes / 1e6:.0f} MB are "
        "needed (min_free_bytes); free some space"
    )


def read_through(file: Path) -> None:
    """Read the whole file, for the errors that this may give.

    Raises:
        OSError: the disk gives one.
    """
    with file.open("rb", buffering=0) as opened:
        while opened.read(CHUNK_BYTES):
            pass
