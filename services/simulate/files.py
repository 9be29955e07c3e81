"""Files that are whole or not there."""

import os
from collections.abc import Callable
from pathlib import Path

from services.errors import TransientError

TEMPORARY_SUFFIX = ".part"


def write_whole(path: Path, save: Callable[[Path], object]) -> None:
    """Save under a temporary name, then rename, so that nobody sees half a file.

    Raises:
        TransientError: the disk is full or failed; nothing is left behind.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        save(temporary)
        temporary.replace(path)
    except OSError as error:
        raise TransientError(
            f"file {str(path)!r} cannot be written: {error}; is the disk full or the folder not writable?"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
