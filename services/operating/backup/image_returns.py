"""Images of a backup go back below a root."""

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from services.checksums import sha256_of
from services.errors import ConfigurationError, SurroundingsError
from services.image_store import TEMPORARY_FOLDER, TEMPORARY_SUFFIX
from services.operating.backup.backup_folder import IMAGES, BackupFolder
from services.operating.backup.image_copies import Count
from services.operating.housekeeping.folders import files, observation_folders, open_image
from services.operating.housekeeping.image_kinds import MADE

TOLD = 3


def there(root: Path) -> set[str]:
    """Images below a root, by their paths as in table ``image``.

    Raises:
        SurroundingsError: a folder cannot be read, or is a link.
    """
    if not root.is_dir():
        return set()
    try:
        return {
            file.path
            for number in observation_folders(root)
            for kind in MADE.derived
            for file in files(root, kind, number)
            if not file.temporary
        }
    except OSError as error:
        raise SurroundingsError(f"root folder {str(root)!r} cannot be read: {error}") from error


def to_copy(root: Path, backup: BackupFolder, *, replace: bool) -> list[str]:
    """Images of the backup that are not below the root yet, by their paths.

    Raises:
        ConfigurationError: others are there, or of the same name with other bytes, and none shall be replaced.
    """
    wanted, found = backup.images, there(root)
    same = {path for path in wanted.keys() & found if sha256_of(root / path) == wanted[path]}
    others = sorted(found - same)
    if others and not replace:
        raise ConfigurationError(
            f"root folder {str(root)!r} has {len(others)} images that are not of this backup ("
            f"{', '.join(others[:TOLD])}{', …' if len(others) > TOLD else ''}): name an empty one (TIANYU_ROOT), or "
            "say --replace, which writes over those of the same name and leaves the rest"
        )
    return sorted(wanted.keys() - same)


def copy_back(root: Path, backup: BackupFolder, paths: Iterable[str], count: Count) -> None:
    """Copy images below the root, each whole or not at all.

    Raises:
        SurroundingsError: the disk is full or fails.
    """
    wanted = list(paths)
    for number, path in enumerate(wanted):
        count(number, len(wanted))
        final = root / path
        temporary = final.parent / TEMPORARY_FOLDER / f"{final.name}.restore-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(backup.path / IMAGES / path, temporary)
            shutil.copystat(
                backup.path / IMAGES / path, temporary
            )  # the next backup sees by its time that it is the same
            temporary.replace(final)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise SurroundingsError(
                f"image {str(final)!r} cannot be written: {error.strerror}; is the disk full, its folder writable?"
            ) from error
    count(len(wanted), len(wanted))


def is_there(root: Path, path: str) -> bool:
    """Whether an image is a file below the root."""
    try:
        os.close(open_image(root, path))
    except OSError:
        return False
    return True
