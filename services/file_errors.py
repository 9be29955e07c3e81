"""What an error of the system, or of astropy that finds no FITS, means for a file that is read."""

from pathlib import Path

from services import disk
from services.errors import DataError, LostFrameError, SurroundingsError, TianyuError, TransientError


def unreadable(error: OSError, full: Path, root: Path, *, is_frame: bool) -> TianyuError:
    """The error to be raised for the file ``full``: a frame of a camera, or what a process made below ``root``."""
    if error.errno is None or error.errno in disk.NO_FILE:  # astropy's own have no number
        return _no_fits(error, full)
    if error.errno in disk.MISSING:
        folder = full.parent if is_frame else root
        if disk.is_away(folder):
            return SurroundingsError(
                f"file {str(full)!r} is not there, and its folder {str(folder)!r} is away or empty: is the disk "
                "mounted on this machine?"
            )
        if is_frame:
            return LostFrameError(
                f"file {str(full)!r} is gone: its folder is there, with other files; put it back, or let the night "
                "do without it"
            )
        return _no_fits(error, full)
    if disk.others_can_be_read(full):
        kind = LostFrameError if is_frame else TransientError
        return kind(f"file {str(full)!r} cannot be read: {error}; others in its folder can: copy it there again")
    return disk.error_of(error, f"file {str(full)!r} cannot be read now: {error}")


def _no_fits(error: OSError, full: Path) -> DataError:
    return DataError(f"file {str(full)!r} cannot be read as FITS: {error}; is it there and whole?")
