"""Where images lie and how they are read and written: FITS at the edge, arrays inside.

Derived files lie under the site's root at ``KIND/OBSERVATION/PID.fits``: made of numbers and fixed words only,
never of names from headers. A file is written under a temporary name, in a folder beside, and renamed when it is
whole, so that no reader and no crash ever sees half of one.
"""

import contextlib
import math
import os
import secrets
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.rows import ReadRows, Rows
from schema.image import DERIVED
from services import disk
from services.errors import DataError, SurroundingsError, TransientError
from services.file_errors import unreadable
from services.fits_cards import card_values, header_text
from services.fits_reader import first_hdu, native, primary_image, read_arrays, read_pixels, read_plain, read_rows
from services.fits_writer import first_header, with_cards, write_fits
from services.frame_bounds import FrameBounds, require_bounded

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

TEMPORARY_SUFFIX = ".part"
# Temporary files lie in a folder of their own: it holds few, so that a killed attempt's are found without a look at
# thousands of whole ones, and it is on the same disk, so that renaming moves no bytes.
TEMPORARY_FOLDER = "unfinished"
MASTERS_KEPT_BYTES = 100_000_000  # bias, dark and flat of a 2048 x 2048 camera twice over; or a larger one's template
NO_IMAGE = (ValueError, TypeError, KeyError, IndexError)  # from astropy, of a file that is not what it should be

Result = TypeVar("Result")


@dataclass(frozen=True)
class StoredImage:
    """Arrays of one FITS file: the image, and named tables or further images beside it."""

    image: NDArray[Any]
    extras: Mapping[str, NDArray[Any]]


class ImageStore(Protocol):
    """Reads frames, reads and writes derived images. Paths are as in table ``image``."""

    def derived_path(self, kind: str, observation_id: int | None, pid: int) -> str:
        """The one place for what ``pid`` makes, relative to the root."""

    def read(self, path: str, *, rows: slice | None = None) -> NDArray[Any]:
        """The image (or some of its rows) in the file's own type.

        Raises:
            DataError: the file is not the FITS image that it should be.
            SurroundingsError: the disk failed, or is away.
            LostFrameError, TransientError: the file alone gives errors; a frame's may also be gone.
        """

    def read_images(self, path: str, numbers: Sequence[int]) -> list[NDArray[Any]]:
        """The images of these HDUs, in the file's own types; raises what ``read`` raises."""

    def read_master(self, path: str) -> NDArray[Any]:
        """A derived image that many frames share: kept in memory, read-only."""

    def master_rows(self, path: str) -> Rows:
        """The same, for who looks at it a few rows at a time: one too large to be kept stays in its file."""

    def forget_masters(self) -> None:
        """Keep none of them any longer: what follows needs the room."""

    def read_all(self, path: str, extras: tuple[str, ...] = ()) -> StoredImage:
        """The image with the named extensions."""

    def read_extra(self, path: str, name: str) -> NDArray[Any]:
        """One named extension, without reading the image."""

    def read_pixels(self, path: str, index: NDArray[np.integer]) -> NDArray[Any]:
        """A few pixels of a derived image by their flat indices, without reading the others."""

    def read_cards(self, path: str) -> Mapping[str, Any]:
        """Keywords and values of the header of a frame's image; text of several cards of one name is the first one's.

        Raises what ``read`` raises.
        """

    def read_header(self, path: str) -> str:
        """All cards of the header of a frame's image, 80 characters each, and those of the primary header behind them.

        Raises what ``read`` raises.
        """

    def write(
        self,
        path: str,
        image: NDArray[Any],
        extras: Mapping[str, NDArray[Any]],
        header: Mapping[str, Any],
        cards: str = "",
    ) -> int:
        """Write atomically, with further ``cards`` of 80 characters each; returns the size in bytes.

        Raises:
            SurroundingsError: the disk is full, failed or is away; nothing is left behind.
            TransientError: another attempt of the same process writes it too.
        """

    def add_cards(self, path: str, cards: Mapping[str, Any]) -> None:
        """Put cards (a value, or value and comment) into the first header of a derived image, in place of older ones.

        Raises:
            DataError: the file is no FITS file, or is not there.
            SurroundingsError: the disk is full, failed or is away; the file is as it was.
        """


class LocalImageStore:
    """FITS files under a root folder of the site's file system."""

    def __init__(self, root: Path, bounds: FrameBounds | None = None) -> None:
        self._root = root
        self._bounds = bounds or FrameBounds()
        self._masters: OrderedDict[str, NDArray[Any]] = OrderedDict()

    def derived_path(self, kind: str, observation_id: int | None, pid: int) -> str:
        """``KIND/OBSERVATION/PID.fits``."""
        return f"{kind}/{observation_id or 0}/{pid}.fits"

    def read(self, path: str, *, rows: slice | None = None) -> NDArray[Any]:
        """Read the first image of the file."""

        if not _is_frame(path):
            [own] = self._own(path, [""], rows=rows)
            return own

        def image(hdus: "HDUList") -> NDArray[Any]:
            hdu = _first_image(hdus, path)
            data: NDArray[Any] = hdu.section[..., rows, :] if rows is not None else hdu.data
            return np.squeeze(data) if data.ndim > 2 else data

        full = self._root / path

        def whole() -> NDArray[Any]:
            plain = primary_image(full, self._bounds.header_bytes)
            if plain is None or plain.is_unsigned is None or math.prod(plain.hdu.shape) > self._bounds.pixels:
                return self._look(path, image)
            data = read_plain(full, plain, rows) if len(plain.hdu.shape) == 2 else read_plain(full, plain)
            return np.squeeze(data) if data.ndim > 2 else data

        return self._reading(path, whole)

    def read_images(self, path: str, numbers: Sequence[int]) -> list[NDArray[Any]]:
        """Read several images in one pass, all of them within the bounds of a frame."""

        def images(hdus: "HDUList") -> list[NDArray[Any]]:
            pixels, most = sum(math.prod(hdus[number].shape) for number in numbers), self._bounds.pixels
            if pixels > most:
                raise DataError(f"file {path!r} has images of {pixels:,} pixels: max_frame_pixels allows {most:,}")
            return [np.squeeze(hdus[number].data) for number in numbers]

        return self._open(path, images)

    def read_master(self, path: str) -> NDArray[Any]:
        """Read, and keep the latest few: a derived file never changes under its name."""
        master = self._masters.get(path)
        if master is None:
            master = native(self.read(path))
            master.flags.writeable = False
            self._masters[path] = master
            while len(self._masters) > 1 and sum(kept.nbytes for kept in self._masters.values()) > MASTERS_KEPT_BYTES:
                self._masters.popitem(last=False)
        self._masters.move_to_end(path)
        return master

    def master_rows(self, path: str) -> Rows:
        full = self._root / path
        if path not in self._masters and not _is_frame(path):
            hdu = self._reading(path, lambda: first_hdu(full))
            if hdu.size > MASTERS_KEPT_BYTES:
                dtype = hdu.dtype.newbyteorder("=")
                return ReadRows(hdu.shape, dtype, lambda rows: self._reading(path, lambda: read_rows(full, hdu, rows)))
        return self.read_master(path)

    def forget_masters(self) -> None:
        """Those that are asked for are read again."""
        self._masters.clear()

    def read_all(self, path: str, extras: tuple[str, ...] = ()) -> StoredImage:
        """Read the image and extensions in one pass."""
        image, *beside = self._own(path, ["", *extras])
        return StoredImage(image, dict(zip(extras, beside, strict=True)))

    def read_extra(self, path: str, name: str) -> NDArray[Any]:
        """Read one extension."""
        [own] = self._own(path, [name])
        return own

    def read_pixels(self, path: str, index: NDArray[np.integer]) -> NDArray[Any]:
        """Read one after the other."""
        return self._reading(path, lambda: read_pixels(self._root / path, index))

    def read_cards(self, path: str) -> Mapping[str, Any]:
        """Read the header alone; a card that cannot be read is left out."""
        return self._open(path, lambda hdus: card_values(_first_image(hdus, path)))

    def _own(self, path: str, names: Sequence[str], rows: slice | None = None) -> list[NDArray[Any]]:
        """Arrays of a file that a process made: "" is the image, others are extensions."""
        full = self._root / path
        return [native(array) for array in self._reading(path, lambda: read_arrays(full, names, rows=rows))]

    def _open(self, path: str, use: Callable[["HDUList"], Result]) -> Result:
        return self._reading(path, lambda: self._look(path, use))

    def _reading(self, path: str, read: Callable[[], Result]) -> Result:
        full = self._root / path
        try:
            try:
                return read()
            except NO_IMAGE:
                # Numpy takes an error of the disk for the end of the file, and astropy misses pixels then. So the whole
                # file is read, which tells, and looked at once more.
                disk.read_through(full)
                return read()
        except OSError as error:
            raise unreadable(error, full, self._root, is_frame=_is_frame(path)) from error
        except NO_IMAGE as error:
            raise DataError(
                f"file {str(full)!r} is not the FITS file that was expected: {error}; is it whole?"
            ) from error

    def _look(self, path: str, use: Callable[["HDUList"], Result]) -> Result:
        from astropy.io import fits  # a third of a second: programs that open no frame start without it

        full = self._root / path
        if _is_frame(path):  # made elsewhere: it may ask for more than there is
            require_bounded(full, self._bounds)
        # No memory map: the file is read once, in order; a map costs page faults and keeps the file open.
        with fits.open(full, memmap=False, lazy_load_hdus=True) as hdus:
            return use(hdus)

    def read_header(self, path: str) -> str:
        """Read the header alone, as it is written."""
        full = self._root / path
        plain = self._reading(path, lambda: primary_image(full, self._bounds.header_bytes))
        if plain is not None:
            return plain.header
        return self._open(path, lambda hdus: header_text(hdus, _first_image(hdus, path)))

    def write(
        self,
        path: str,
        image: NDArray[Any],
        extras: Mapping[str, NDArray[Any]],
        header: Mapping[str, Any],
        cards: str = "",
    ) -> int:
        """Write to a temporary name, then rename.

        What a killed attempt left of the same file is removed. An attempt that is still alive, though nobody waits for
        it, loses its temporary file and fails: each writer renames its own name only.
        """
        full = self._root / path
        temporary = temporary_of(full)
        if not self._root.is_dir():  # making it would hide what is written below a disk that is mounted later
            raise SurroundingsError(
                f"file {str(full)!r} cannot be written: root folder {str(self._root)!r} is away; is the disk mounted "
                "on this machine?"
            )
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            for left in temporary.parent.glob(f"{full.name}.*{TEMPORARY_SUFFIX}"):
                left.unlink(missing_ok=True)
            write_fits(temporary, image, extras, header, cards)
            size = temporary.stat().st_size
            temporary.replace(full)
        except FileNotFoundError as error:
            raise TransientError(
                f"file {str(full)!r} cannot be written: its temporary file is gone; another attempt of the same "
                "process has taken over, or somebody removed the folder"
            ) from error
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise SurroundingsError(
                f"file {str(full)!r} cannot be written: {error}; is the disk full or the folder not writable?"
            ) from error
        return size

    def add_cards(self, path: str, cards: Mapping[str, Any]) -> None:
        """One write of the header into the room that it has; a file without room is written anew and renamed."""
        full = self._root / path
        try:
            with full.open("r+b") as file:
                old = first_header(file, path)
                new = with_cards(old, cards)
                if len(new) == len(old):
                    os.pwrite(file.fileno(), new, 0)
                else:
                    _replace_header(file, full, new)
        except FileNotFoundError as error:
            raise unreadable(error, full, self._root, is_frame=_is_frame(path)) from error
        except OSError as error:
            raise SurroundingsError(
                f"header of file {str(full)!r} cannot be written: {error}; is the disk full or the file not writable?"
            ) from error


def _is_frame(path: str) -> bool:
    """Whether a file is the camera's, and none that a process made."""
    return Path(path).parts[0] not in DERIVED


def _replace_header(file: BinaryIO, full: Path, header: bytes) -> None:
    """The file with another header, under a temporary name that is renamed; ``file`` stands behind its old one."""
    temporary = temporary_of(full)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as new:
            new.write(header)
            shutil.copyfileobj(file, new)
        temporary.replace(full)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_of(full: Path) -> Path:
    """A name that no other attempt has, on whatever host: two writers of one file never share bytes."""
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    return full.parent / TEMPORARY_FOLDER / f"{full.name}.{mark}{TEMPORARY_SUFFIX}"


def _first_image(hdus: "HDUList", path: str) -> Any:
    for hdu in hdus:
        if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2:
            return hdu
    raise DataError(f"file {path!r} has no two-dimensional image")


def open_store(root: Path, bounds: FrameBounds | None = None) -> ImageStore:
    """The image store of a site; frames larger than the bounds are refused."""
    return LocalImageStore(root, bounds)
