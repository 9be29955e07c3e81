"""Reading what `fits_writer` wrote: arrays alone, in a tenth of what `astropy.io.fits` takes for small files.

What it wrote has no scales, no zeros, no heaps and no compression. A file with any of these is none of its own, and is
refused. Of a camera's files the first image is read in the same way where it is as plain: astropy reads all others.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.byte_order import swap_into
from services.fits_writer import CARD_BYTES, FITS_BLOCK_BYTES, KEYWORD_CHARACTERS, VALUE_START, next_header

IMAGE_NUMBERS = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # by BITPIX
COLUMN_NUMBERS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}  # by TFORM
UNSIGNED_ZERO = 32768
READ_AT_ONCE = 1 << 18  # bytes: they are still in the processor's cache when they are turned
CHANGED = re.compile(r"(BSCALE|BZERO|BLANK|T(SCAL|ZERO|NULL|DIM)\d+) *")  # values are not as they stand


@dataclass(frozen=True)
class Hdu:
    """Where the array of an HDU lies in its file, and what it is of."""

    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.dtype.itemsize * math.prod(self.shape)


@dataclass(frozen=True)
class PlainImage:
    """The header of a file's first HDU as it stands, and where its image lies.

    ``is_unsigned``: its numbers are unsigned ones of 16 bits, less 32768; None where they are scaled, or have blanks.
    """

    header: str
    hdu: Hdu
    is_unsigned: bool | None

    @property
    def start(self) -> int:
        """Where the image begins."""
        return self.hdu.start

    @property
    def end(self) -> int:
        """Where it ends, without padding."""
        return self.hdu.start + self.hdu.size


def primary_image(path: Path, most_bytes: int) -> PlainImage | None:
    """The image of the first HDU of any plain FITS file; None where that is not all there is to it: astropy tells.

    most_bytes: of the header.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        header = next_header(file, most_bytes)
    if header is None:
        return None
    text = header.decode("latin-1")
    cards = _written(text)
    try:
        lengths = tuple(int(cards[f"NAXIS{axis}"]) for axis in range(int(cards["NAXIS"]), 0, -1))
        dtype = np.dtype(IMAGE_NUMBERS[int(cards["BITPIX"])])
    except (KeyError, ValueError):
        return None
    if len(lengths) < 2 or min(lengths) < 1 or cards.keys() & {"GROUPS", "PCOUNT", "GCOUNT", "ZIMAGE"}:
        return None
    return PlainImage(text, Hdu(len(header), dtype, lengths), _is_unsigned(cards, dtype))


def _is_unsigned(cards: Mapping[str, str], dtype: np.dtype[Any]) -> bool | None:
    """Whether numbers are unsigned ones, of which FITS has none; None where they stand for others in another way."""
    try:
        scale, zero = float(cards.get("BSCALE", 1)), float(cards.get("BZERO", 0))
    except ValueError:
        return None
    if scale != 1 or "BLANK" in cards:
        return None
    if zero == UNSIGNED_ZERO and dtype == np.dtype(">i2"):
        return True
    return False if zero == 0 else None


def read_plain(path: Path, plain: PlainImage, rows: slice | None = None) -> NDArray[Any]:
    """The numbers of an image that is not scaled, or some of its rows, in the machine's byte order.

    Raises:
        OSError: the file cannot be read.
        ValueError: it ends within the image.
    """
    with path.open("rb", buffering=0) as file:
        if not plain.is_unsigned:
            return _array(file, plain.hdu, rows)
        return _array(file, plain.hdu, rows, turned=UNSIGNED_ZERO).view(np.uint16)


def native(data: Any) -> NDArray[Any]:
    """Arrays in the machine's byte order: numpy and sep are several times slower on FITS's big-endian ones.

    An image that nobody else holds is turned where it lies, in a third of the time.
    """
    array = np.asarray(data)
    if array.dtype.isnative:
        return array
    own = array.dtype.newbyteorder("=")
    if array.dtype.names or not array.flags.writeable:
        return array.astype(own)
    return array.byteswap(inplace=True).view(own)


def read_arrays(path: Path, names: Sequence[str], *, rows: slice | None = None) -> list[NDArray[Any]]:
    """Arrays of these HDUs, tables as they lie; ``""`` is the first image, of which ``rows`` may be wanted alone.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not whole, or none that `fits_writer` wrote.
        KeyError: it has no HDU of a name.
    """
    with path.open("rb") as file:
        found: dict[str, Hdu] = {}
        while not found.keys() >= set(names):
            name, hdu = _next_hdu(file, path)
            if name is None or hdu is None:
                missing = sorted(set(names) - found.keys())
                raise KeyError(f"no extension {', '.join(missing)}")
            found.setdefault(name, hdu)
        return [_array(file, found[name], rows if name == "" else None) for name in names]


def first_hdu(path: Path) -> Hdu:
    """Where the image of a file lies; raises what `read_arrays` raises."""
    with path.open("rb") as file:
        _, hdu = _next_hdu(file, path)
    if hdu is None:
        raise ValueError("it has no image")
    return hdu


def read_pixels(path: Path, index: NDArray[np.integer]) -> NDArray[Any]:
    """Pixels of an image by their flat indices, in the machine's byte order; raises what `read_arrays` raises."""
    hdu = first_hdu(path)
    size = hdu.dtype.itemsize
    if index.size and not 0 <= index.min() <= index.max() < hdu.size // size:
        raise ValueError(f"it has {hdu.size // size} pixels, and is asked for number {index.max()}")
    with path.open("rb", buffering=0) as file:
        found = [os.pread(file.fileno(), size, hdu.start + size * place) for place in index.tolist()]
    return np.frombuffer(b"".join(found), hdu.dtype, index.size).astype(hdu.dtype.newbyteorder("="))


def read_rows(path: Path, hdu: Hdu, rows: slice) -> NDArray[Any]:
    """Some rows of an image that was found before; raises what `read_arrays` raises."""
    with path.open("rb", buffering=0) as file:
        return _array(file, hdu, rows)


def _next_hdu(file: BinaryIO, path: Path) -> tuple[str | None, Hdu | None]:
    """Name and place of the HDU that begins here; the file stands behind it. None at the end of the file."""
    is_first = file.tell() == 0
    header = next_header(file)
    if header is None:
        if is_first:
            raise ValueError("it has no whole FITS header")
        return None, None
    cards = _values(header.decode("latin-1"))
    name = "" if is_first else cards.get("EXTNAME", "?").strip("' ")
    lengths = tuple(int(cards[f"NAXIS{axis}"]) for axis in range(int(cards["NAXIS"]), 0, -1))
    start = file.tell()
    if cards.get("XTENSION", "'IMAGE").strip("' ") == "BINTABLE":
        hdu = Hdu(start, _row_type(cards), lengths[:1])
        if hdu.dtype.itemsize != lengths[1]:
            raise ValueError(f"rows of {name} have {lengths[1]} bytes, expected {hdu.dtype.itemsize}")
    else:
        hdu = Hdu(start, np.dtype(IMAGE_NUMBERS[int(cards["BITPIX"])]), lengths)
    behind = start + hdu.size + -hdu.size % FITS_BLOCK_BYTES
    if min(lengths, default=0) < 0 or path.stat().st_size < behind:
        raise ValueError("it is shorter than its headers say")
    file.seek(behind)
    return name, hdu


def _values(header: str) -> Mapping[str, str]:
    """The same, of numbers as they stand."""
    found = _written(header)
    strange = next(filter(CHANGED.fullmatch, found), None)
    if strange is not None:
        raise ValueError(f"it has {strange}, expected numbers as they stand")
    return found


def _written(header: str) -> dict[str, str]:
    """Values by keyword, as they are written; of a keyword that comes twice the first."""
    starts = range(len(header) - CARD_BYTES, -1, -CARD_BYTES)  # backwards: the first of a keyword is laid over others
    return {
        header[start : start + KEYWORD_CHARACTERS].rstrip(): header[start + VALUE_START : start + CARD_BYTES].partition(
            "/"
        )[0]
        for start in starts
        if header[start] != " "
    }


def _row_type(cards: Mapping[str, str]) -> np.dtype[Any]:
    """Of a table of plain numbers."""
    columns = []
    for number in range(1, int(cards["TFIELDS"]) + 1):
        name, form = (cards[f"{keyword}{number}"].strip("' ") for keyword in ("TTYPE", "TFORM"))
        columns.append((name, COLUMN_NUMBERS[form.removeprefix("1")]))
    return np.dtype(columns)


def _array(file: BinaryIO | FileIO, hdu: Hdu, rows: slice | None, turned: int = 0) -> NDArray[Any]:
    """An image in the machine's byte order, ``turned`` as `swap_into` says; a table as it lies."""
    start, shape = hdu.start, hdu.shape
    if rows is not None:
        first, stop, _ = rows.indices(shape[0])
        start += first * hdu.dtype.itemsize * math.prod(shape[1:])
        shape = (max(stop - first, 0), *shape[1:])
    file.seek(start)
    count = math.prod(shape)
    if hdu.dtype.names or hdu.dtype.isnative:
        array = np.empty(count, hdu.dtype)
        _fill(file, array)
        return array.reshape(shape)
    array = np.empty(count, hdu.dtype.newbyteorder("="))
    stored = np.empty(min(count, READ_AT_ONCE // hdu.dtype.itemsize), hdu.dtype)
    for place in range(0, count, max(1, stored.size)):
        part = stored[: count - place]
        _fill(file, part)
        swap_into(part, array[place : place + part.size], turned)
    return array.reshape(shape)


def _fill(file: BinaryIO | FileIO, array: NDArray[Any]) -> None:
    """Read as many bytes as the array has."""
    room = array.view(np.uint8).data
    while room:
        number = file.readinto(room)  # type: ignore[union-attr]
        if not number:
            raise ValueError(f"it ends within its data: {len(room)} of {array.nbytes} bytes are missing")
        room = room[number:]
