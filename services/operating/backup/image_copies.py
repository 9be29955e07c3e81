"""Copies of images: a file that the backup before has too is linked to that one's, all others are copied.

A file of the root is never linked into a backup: a WCS is written into headers in place, which a link would show too.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from services.errors import SurroundingsError, TransientError
from services.operating.backup.backup_folder import IMAGES, READ_BYTES, BackupFolder
from services.operating.housekeeping.folders import open_image

TRIES = 5  # of a file whose header is written meanwhile

Count = Callable[[int, int], None]


@dataclass
class Copies:
    """What was done: SHA-256 by name in the backup, files that were not there, and how many bytes were copied."""

    sums: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    linked: int = 0
    copied_bytes: int = 0


def copy_images(root: Path, paths: Iterable[str], folder: Path, before: BackupFolder | None, count: Count) -> Copies:
    """Copy images of the root, by their paths as in table ``image``, below ``folder``/images.

    Raises:
        SurroundingsError: the disk of the backup is full or fails.
    """
    copies = Copies()
    wanted = sorted(set(paths))
    for number, path in enumerate(wanted):
        count(number, len(wanted))
        _copy(copies, root, path, folder, before)
    count(len(wanted), len(wanted))
    return copies


def _copy(copies: Copies, root: Path, path: str, folder: Path, before: BackupFolder | None) -> None:
    name = f"{IMAGES}/{path}"
    target = folder / name
    try:
        source = open_image(root, path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise SurroundingsError(f"image {str(root / path)!r} cannot be read: {error.strerror}") from error
        copies.missing.append(path)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(source, "rb") as file:
            if before is not None and _link(before, name, os.fstat(source), target):
                copies.sums[name] = before.sums[name]
                copies.linked += 1
                return
            for _ in range(TRIES):
                facts = os.fstat(source)
                digest = _copy_bytes(file.fileno(), target)
                after = os.fstat(source)
                if (after.st_mtime_ns, after.st_size) == (facts.st_mtime_ns, facts.st_size):
                    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
                    copies.sums[name] = digest
                    copies.copied_bytes += facts.st_size
                    return
    except OSError as error:
        raise SurroundingsError(
            f"image {str(root / path)!r} cannot be copied to {str(target)!r}: {error.strerror}; is the disk full?"
        ) from error
    raise TransientError(f"image {str(root / path)!r} is written again and again: make the backup again")


def _link(before: BackupFolder, name: str, facts: os.stat_result, target: Path) -> bool:
    """Link the file of the backup before, if it is the same; False where it is not, or the disk knows no links."""
    if name not in before.sums:
        return False
    try:
        there = (before.path / name).stat(follow_symlinks=False)
        same = (there.st_size, there.st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
        if not same or not stat.S_ISREG(there.st_mode):
            return False
        os.link(before.path / name, target)
    except OSError:
        return False
    return True


def _copy_bytes(source: int, target: Path) -> str:
    digest = hashlib.sha256()
    os.lseek(source, 0, os.SEEK_SET)
    with target.open("wb") as file:
        while part := os.read(source, READ_BYTES):
            digest.update(part)
            file.write(part)
    return digest.hexdigest()
