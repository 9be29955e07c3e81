"""Files that go from one site to another: where they lie under a root, and writing them whole."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schema.image import DERIVED, PACKED
from services.errors import ConfigurationError, SurroundingsError, TransientError
from services.image_store import TEMPORARY_FOLDER, TEMPORARY_SUFFIX, temporary_of

_PATH = re.compile(rf"(?:{'|'.join(DERIVED)})/\d+/\d+\.(?:fits|packed)")
ARRIVING = "arriving"


def packed_path(observation_id: int | None, pid: int) -> str:
    """``packed/OBSERVATION/PID.packed``, relative to the root."""
    return f"{PACKED}/{observation_id or 0}/{pid}.packed"


def arriving_path(observation_id: int | None, pid: int) -> str:
    """Where what comes for the process ``pid`` lies until it is whole: `tianyu gc` removes it when that has ended."""
    return f"{PACKED}/{observation_id or 0}/{TEMPORARY_FOLDER}/{pid}.packed.{ARRIVING}{TEMPORARY_SUFFIX}"


def require_made(path: str) -> str:
    """The path of a row, which becomes part of an address and of a path here.

    Raises:
        ConfigurationError: it is none that a process makes.
    """
    if _PATH.fullmatch(path) is None:
        raise ConfigurationError(f"{path!r} is no path of an image that a process made: expected KIND/NUMBER/PID.fits")
    return path


@contextmanager
def temporary_beside(root: Path, full: Path) -> Iterator[Path]:
    """A name that no other attempt has, to write what is to become ``full``; nothing is left under it.

    Raises:
        SurroundingsError: the root is away.
    """
    if not root.is_dir():  # making it would hide what is written below a disk that is mounted later
        raise SurroundingsError(f"root folder {str(root)!r} is away; is the disk mounted on this machine?")
    temporary = temporary_of(full)
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(error, full) from error
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, full: Path) -> None:
    """Give a whole file its name.

    Raises:
        TransientError: the temporary file is gone.
        SurroundingsError: the disk refuses.
    """
    try:
        temporary.replace(full)
    except FileNotFoundError as error:
        raise TransientError(f"file {str(full)!r} cannot be written: its temporary file is gone") from error
    except OSError as error:
        raise unwritable(error, full) from error


def unwritable(error: OSError, full: Path) -> SurroundingsError:
    """A file that could not be written."""
    return SurroundingsError(
        f"file {str(full)!r} cannot be written: {error}; is the disk full or the folder not writable?"
    )
