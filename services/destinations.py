"""Where commands may write: nothing that cannot be made again is replaced unless the operator says so."""

import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.image import DERIVED, Image
from schema.processes import Site
from schema.queries.images import path_digests
from services.errors import ConfigurationError
from services.frame_bounds import BLOCK_BYTES, NO_FITS
from services.settings import CONFIG_VARIABLE, Settings
from services.whole_files import Place, is_text, place_of

OWN_FOLDERS = (*DERIVED, "catalog", "logs")  # under a root; its plots may be drawn again
SQLITE_COMPANIONS = ("", "-wal", "-shm", "-journal")
MOST_FITS_BYTES = 100 * BLOCK_BYTES  # of headers that are looked at
FITS_START = b"SIMPLE  ="
# What files begin with that commands write, besides text and FITS.
WRITTEN_STARTS = (b"\x89PNG\r\n\x1a\n", b"PAR1", b"%PDF-")


def require_replaceable(session: Session, settings: Settings, paths: Iterable[Path], *, force: bool) -> None:
    """Make sure that files may be written under these names, before there is any work for them.

    Refused are the database, frames, and whatever else Tianyu keeps; and files that no command of Tianyu writes.

    Raises:
        ConfigurationError: a name is refused; with ``force`` only a folder, a disk or a socket is.
    """
    guard = None
    for path in paths:
        if place_of(path) is not Place.FILE or force:
            continue
        guard = guard or _Guard(session, settings)
        reason = guard.reason_against(path) or _content_reason(path)
        if reason is not None:
            raise ConfigurationError(
                f"file {str(path)!r} is not written: {reason}; choose another name, or --force if it shall be lost"
            )


class _Guard:
    """What Tianyu keeps, asked once for all files of a command."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        sites = session.execute(select(Site.site_id, Site.root)).all()
        # A site may be on another machine: its root is then no folder here and forbids nothing.
        self._sites = [(int(number), Path(root)) for number, root in sites]
        roots = [settings.root, *(root for _, root in self._sites)]
        self._own_folders = {_real(root / name) for root in roots for name in OWN_FOLDERS}
        self._own_folders |= {_real(folder) for folder in (settings.index_dir, settings.catalog_dir) if folder}
        self._own_files = self._files_of(settings)

    def _files_of(self, settings: Settings) -> dict[Path, str]:
        files = {_real(Path(os.environ.get(CONFIG_VARIABLE, "tianyu.toml"))): "the settings"}
        if settings.catalog_file is not None:
            files[_real(settings.catalog_file)] = "the catalogue"
        if settings.standard_file is not None:
            files[_real(settings.standard_file)] = "the table of standard stars"
        url = self._session.get_bind().engine.url
        if url.get_backend_name() == "sqlite" and url.database:
            files |= {_real(Path(url.database + suffix)): "the database" for suffix in SQLITE_COMPANIONS}
        return files

    def reason_against(self, path: Path) -> str | None:
        """Why Tianyu keeps what is there, or what may come to be there; None where it does not."""
        real = _real(path)
        if real in self._own_files:
            return f"it is {self._own_files[real]} of Tianyu"
        if self._own_folders.intersection(real.parents):
            return f"{str(real.parent)!r} is a folder of Tianyu's own files"
        spellings = {path.absolute(), real}
        digests = [
            digest
            for number, root in self._sites
            for spelling in spellings
            for spelled in {str(spelling), _below(spelling, root), _below(spelling, _real(root))}
            for digest in path_digests(number, spelled)
        ]
        found = self._session.scalar(select(Image.image_id).where(Image.path_digest.in_(digests)).limit(1))
        return None if found is None else f"it is registered in table image ({found})"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _below(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _content_reason(path: Path) -> str | None:
    """Why a file that is there is not one that commands write; None for an empty one."""
    try:
        with path.open("rb") as file:
            head = file.read(BLOCK_BYTES)
        if head.startswith(FITS_START):
            return None if _is_fits_table(path) else "it is a FITS image, or was meant to be one"
        if not head or head.startswith(WRITTEN_STARTS) or is_text(path):
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"what it holds cannot be read: {error.strerror or error}"
    if head.startswith(b"SQLite format 3\0"):
        return "it is a database"
    return "it is neither text nor a table nor a plot, so no command of Tianyu wrote it"


def _is_fits_table(path: Path) -> bool:
    """Whether a FITS file is a light curve as `tianyu lightcurve` writes it: no image, then a plain table."""
    from astropy.io.fits import Header, VerifyError

    with path.open("rb") as file:
        start = BytesIO(file.read(MOST_FITS_BYTES))
    try:
        primary, second = Header.fromfile(start), Header.fromfile(start)
        return primary["NAXIS"] == 0 and second["XTENSION"] == "BINTABLE" and "ZIMAGE" not in second
    except (*NO_FITS, VerifyError):
        return False
