"""Open a frame's file as far as its header, and find out whether the pixels are all there without reading them."""

import contextlib
import errno
import gzip
import math
import os
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from services.errors import DataError, TransientError
from services.fits_cards import plain_lines, plain_values
from services.fits_reader import primary_image
from services.frame_bounds import FrameBounds, require_bounded
from services.ingest.amplifiers import MOST_AMPLIFIERS, FurtherImage, is_part
from services.ingest.cards import FrameHeader, printable
from services.ingest.file_names import quoted

BUSY = (errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the machine's fault, not the file's
GZIP_CHUNK_BYTES = 1 << 20
COLOURS = 3  # planes of a picture
BLOCK_BYTES = 2880
TAIL_BYTES = 4096  # of the last data, in which something is not 0
GZIP_TRAILER_BYTES = 4  # the last of a gzip file: length of the plain text modulo 2^32

BAD_PIXELS_NAME = "BPM"  # of LCO
MOST_EXTENSIONS = 32  # that are looked at behind the image

# What astropy raises on damaged files, found by damaging files at random.
DAMAGE = (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError, MemoryError)
DAMAGE_ALL = (*DAMAGE, fits.VerifyError, zlib.error)


@dataclass(frozen=True)
class OpenedFrame:
    """The header of a frame's image, the primary header's keywords below it, and facts of the file."""

    path: Path
    header: fits.Header
    header_text: str
    shape: tuple[int, int]  # (ny, nx)
    size: int  # bytes
    mtime: float  # s since 1970
    notes: tuple[str, ...]
    primary: fits.Header | None  # where the image is in an extension
    number: int = 0  # of the image's HDU
    further: tuple[FurtherImage, ...] = ()  # what other amplifiers read of the same detector
    bad_pixels: int | None = None  # of the HDU that says which of the image's pixels are bad


def open_frame(path: Path, bounds: FrameBounds | None = None) -> OpenedFrame:
    """Read the header of the first image: in the primary or an extension, plain, compressed (.fz) or in gzip.

    Raises:
        DataError: the file is missing, empty, not FITS, without a 2-D image, shorter than its header says, or larger
            than the bounds.
        TransientError: the machine is out of files or memory, or the network disk is away.
    """
    try:
        status = path.stat()
        if status.st_size == 0:
            raise DataError(f"file {quoted(path)} is empty (0 bytes): copy it again, or remove it")
        bounds = bounds or FrameBounds()
        plain = _plain_frame(path, status, bounds)
        if plain is not None:
            return plain
        require_bounded(path, bounds)
        # No look at the data: a memory map costs nothing until a pixel is read.
        with (
            warnings.catch_warnings(action="ignore"),
            fits.open(path, memmap=True, lazy_load_hdus=True, disable_image_compression=True) as hdus,
        ):
            index, shape = _first_image(hdus, path)
            _require_whole(hdus[index], path, status.st_size)
            header = _header_of(hdus, index)
            further = _further_amplifiers(hdus, index, path, status.st_size) if is_part(header) else ()
            notes = () if further or _is_gzip(path) else _further_images(hdus, index)
            bad_pixels = None if further or _is_gzip(path) else _bad_pixels(hdus, index, shape)
            primary = hdus[0].header.copy() if index > 0 else None
            text = _text_of(header)
    except DAMAGE_ALL as error:
        raise _explained(error, path) from error
    facts = (status.st_size, status.st_mtime, notes)
    return OpenedFrame(path, header, text, shape, *facts, primary, index, further, bad_pixels)


def _plain_frame(path: Path, status: os.stat_result, bounds: FrameBounds) -> OpenedFrame | None:
    """The frame of a file that is one plain image, in a third of the time; None of all others, and of damaged ones."""
    plain = primary_image(path, bounds.header_bytes)
    if plain is None or len(plain.hdu.shape) != 2 or math.prod(plain.hdu.shape) > bounds.pixels:
        return None
    if not plain.end <= status.st_size <= _padded(plain.end):
        return None
    with warnings.catch_warnings(action="ignore"):
        header: FrameHeader = FrameHeader.fromstring(plain.header)  # type: ignore[no-untyped-call]
        header.values_told.update(plain_values(plain.header))
        text = plain_lines(plain.header) or _text_of(header)
    ny, nx = plain.hdu.shape
    return OpenedFrame(path, header, text, (ny, nx), status.st_size, status.st_mtime, (), None)


def _text_of(header: fits.Header) -> str:
    """Its cards, one a line, mended where they do not keep to the standard."""
    text: str = header.tostring(sep="\n", endcard=False, padding=False)
    return text


def _header_of(hdus: fits.HDUList, index: int) -> fits.Header:
    """The header of one HDU with the primary one's keywords below it."""
    header: fits.Header = FrameHeader(hdus[index].header.cards)  # type: ignore[no-untyped-call]
    if index > 0:
        header.extend(hdus[0].header, unique=True)
    return header


def _further_amplifiers(hdus: fits.HDUList, index: int, path: Path, size: int) -> tuple[FurtherImage, ...]:
    """Images behind the first that say where they lie on the detector too."""
    found = []
    for number in range(index + 1, index + 1 + MOST_AMPLIFIERS):
        try:
            hdu = hdus[number]
        except IndexError:
            break
        axes = _axes(hdu)
        if len(axes) == 2 and min(axes) > 0 and is_part(hdu.header):
            _require_whole(hdu, path, size)
            found.append(FurtherImage(number, _header_of(hdus, number), (axes[0], axes[1])))
    return tuple(found)


def _explained(error: Exception, path: Path) -> DataError | TransientError:
    if isinstance(error, OSError) and error.errno in BUSY:
        return TransientError(f"file {quoted(path)} cannot be read now: {error.strerror}")
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"file {quoted(path)} cannot be read: {error.strerror}; check its name and its permissions")
    reason = printable(str(error)) or type(error).__name__
    return DataError(f"file {quoted(path)} cannot be read as FITS: {reason}; is it whole? copy it again, or remove it")


def _first_image(hdus: fits.HDUList, path: Path) -> tuple[int, tuple[int, int]]:
    """Index and shape (ny, nx) of the first HDU with an image; the same that steps read."""
    for index, hdu in enumerate(hdus):
        axes = _axes(hdu)
        if len(axes) < 2:
            continue
        if min(axes) < 1 or any(length != 1 for length in axes[:-2]):
            size = " x ".join(str(length) for length in reversed(axes))
            if len(axes) == 3 and axes[0] == COLOURS:
                raise DataError(
                    f"file {quoted(path)} has an image of {size}: three colours, made of neighbouring pixels already, "
                    "which cannot be measured: give the raw frames of the camera (with BAYERPAT), or split the colours"
                )
            raise DataError(f"file {quoted(path)} has an image of {size}: expected two dimensions; split cubes")
        return index, (axes[-2], axes[-1])
    raise DataError(f"file {quoted(path)} has no two-dimensional image: is it a table, or a header alone?")


def _axes(hdu: Any) -> tuple[int, ...]:
    """Lengths of the axes of an image, slowest first; of a compressed image those of the image inside."""
    if hdu.header.get("ZIMAGE", False):
        return tuple(int(hdu.header[f"ZNAXIS{i}"]) for i in range(hdu.header["ZNAXIS"], 0, -1))
    return tuple(int(length) for length in hdu.shape) if hdu.is_image else ()


def _require_whole(hdu: Any, path: Path, size: int) -> None:
    """Compare the file's length with what its header promises; missing padding after the last pixel is forgiven."""
    where = hdu.fileinfo()
    needed = where["datLoc"] + hdu.size
    found = _plain_length(path, where["datLoc"] + where["datSpan"]) if _is_gzip(path) else size
    if found < needed:
        raise DataError(
            f"file {quoted(path)} is truncated: {found} bytes, its header promises {needed}; wait until it is written, "
            "copy it again, or remove it"
        )


def require_written(path: Path) -> None:
    """Look whether a file that was opened as a frame is whole to its end: all HDUs, and no room that waits for data.

    Programs that copy may give a file its length before its content. A frame that ends in zeros by itself is not told
    from that.

    Raises:
        DataError: something is missing.
    """
    if _is_gzip(path):
        return  # astropy has unpacked all of it
    size = path.stat().st_size
    for start, end in _data(path, size)[-1:]:
        promised = _padded(end)
        if promised > size:
            raise DataError(f"file {quoted(path)} is not whole: {size} bytes, its headers promise {promised}")
        with path.open("rb") as file:
            file.seek(max(start, end - TAIL_BYTES))
            tail = file.read(min(TAIL_BYTES, end - start))
        if not any(tail):
            raise DataError(f"file {quoted(path)} ends in zeros: is it still being copied?")


def _data(path: Path, size: int) -> list[tuple[int, int]]:
    """Where the data of each HDU that has any begin and end, in a plain file of so many bytes."""
    try:
        plain = primary_image(path, FrameBounds().header_bytes)
        if plain is not None and _padded(plain.end) == size:
            return [(plain.start, plain.end)]  # there is no other
        with (
            warnings.catch_warnings(action="ignore"),
            fits.open(path, memmap=True, lazy_load_hdus=True, disable_image_compression=True) as hdus,
        ):
            places = [(hdu.fileinfo()["datLoc"], hdu.size) for hdu in hdus if hdu.size]
    except DAMAGE_ALL as error:
        raise _explained(error, path) from error
    return [(start, start + length) for start, length in places]


def _padded(end: int) -> int:
    return -(-end // BLOCK_BYTES) * BLOCK_BYTES


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _plain_length(path: Path, expected: int) -> int:
    """Length of a gzip file's plain text; it is unpacked only if its trailer differs from what is expected.

    A cut gzip file astropy has refused before: it unpacks the whole image to pass it (34 ms for 2048 x 2048 pixels).
    """
    with path.open("rb") as file:
        file.seek(-GZIP_TRAILER_BYTES, os.SEEK_END)
        if int.from_bytes(file.read(), "little") == expected % (1 << 32):
            return expected
    length = 0
    with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(path) as unpacked:
        while length < expected and (chunk := unpacked.read(GZIP_CHUNK_BYTES)):
            length += len(chunk)
    return length


def _bad_pixels(hdus: fits.HDUList, index: int, shape: tuple[int, int]) -> int | None:
    """Number of the HDU behind the image that is named for bad pixels and has its size; None where there is none."""
    for number in range(index + 1, index + 1 + MOST_EXTENSIONS):
        try:
            hdu = hdus[number]
            if str(hdu.name).upper() == BAD_PIXELS_NAME and _axes(hdu) == shape:
                return number
        except DAMAGE_ALL:  # the end of the file, or what is behind the image and not needed
            break
    return None


def _further_images(hdus: fits.HDUList, index: int) -> tuple[str, ...]:
    try:
        further = hdus[index + 1]
        is_image = len(_axes(further)) >= 2
    except DAMAGE_ALL:  # what follows the image is not needed
        return ()
    name = printable(str(further.name))
    is_other = is_image and name.upper() != BAD_PIXELS_NAME
    return (f"only the first image of the file is used: there is another, {name!r}",) if is_other else ()
