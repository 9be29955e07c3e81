"""Bounds of what a file may ask for, looked at before anything is unpacked: no file fills a machine's memory.

A header that never ends and an image of a billion zeros are kilobytes in gzip, and tile compression or a number in a
header does the same without it. What a file says of itself is read here in small pieces, by astropy's own parser.
"""

import gzip
import math
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from services.errors import DataError

if TYPE_CHECKING:
    from astropy.io.fits import Header

BLOCK_BYTES = 2880
CHUNK_BYTES = 1 << 20
MOST_BYTES_A_PIXEL = 8
GZIP = b"\x1f\x8b"
# What astropy and the unpackers raise on what is no FITS, or damaged.
NO_FITS = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, zlib.error)
# Astropy would unpack these too, zip and LZW as a whole; none is how frames are kept.
OTHER_PACKERS = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x1f\x9d": "compress (.Z)"}


@dataclass(frozen=True)
class FrameBounds:
    """The largest frame that is opened."""

    header_bytes: int = 2_880_000  # of all headers up to the image; 36,000 cards
    pixels: int = 250_000_000


def require_bounded(path: Path, bounds: FrameBounds) -> None:
    """Make sure that reading the first image of a file takes no more than the bounds.

    What is wrong with the file besides is left to who reads it.

    Raises:
        DataError: a header or the image is larger, or the file is packed in a way that is not taken.
        OSError: the disk failed.
    """
    with path.open("rb") as file:
        magic = file.read(BLOCK_BYTES)
    for start, name in OTHER_PACKERS.items():
        if magic.startswith(start):
            raise DataError(
                f"file {str(path)!r} is packed by {name}: expected plain FITS, gzip or tiles (fpack); unpack it"
            )
    is_packed = magic.startswith(GZIP)
    with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
        _Look(cast("BinaryIO", gzip.GzipFile(fileobj=file)) if is_packed else file, path, bounds).run()


class _Look:
    """One look at a file; astropy's parser reads through it, and it counts."""

    def __init__(self, file: BinaryIO, path: Path, bounds: FrameBounds) -> None:
        self._file = file
        self._path = path
        self._bounds = bounds
        self._left = bounds.header_bytes

    def read(self, size: int = -1) -> bytes:
        """A part of a header, as long as there may be more."""
        self._left -= size
        if self._left < 0 or size < 0:
            raise DataError(
                f"file {str(self._path)!r} has more than {self._bounds.header_bytes:,} bytes of headers up to its "
                "image: it is damaged, or made to fill memory; remove it, or raise max_header_bytes if it is good"
            )
        return self._file.read(size)

    def run(self) -> None:
        """Header by header up to the first image, or up to what is no FITS."""
        from astropy.io.fits import Header, VerifyError  # settings name the bounds, and every command reads settings

        try:
            while not self._is_image(Header.fromfile(self)):
                pass
        except VerifyError as error:  # of a card of sizes
            raise self._no_sizes(error) from error
        except NO_FITS as error:
            if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the file's
                raise

    def _is_image(self, header: "Header") -> bool:
        """Look at one header's sizes, and pass what follows it unless it is the image."""
        try:
            return self._look_at(header)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise self._no_sizes(error) from error

    def _no_sizes(self, error: Exception) -> DataError:
        """Not left to who reads the file: he may pass it, and come to what lies behind."""
        return DataError(
            f"file {str(self._path)!r} cannot be read as FITS: its header's sizes are no numbers ({error}); is it "
            "whole? copy it again, or remove it"
        )

    def _look_at(self, header: "Header") -> bool:
        prefix = "ZNAXIS" if header.get("ZIMAGE", False) else "NAXIS"
        axes = [int(header[f"{prefix}{axis}"]) for axis in range(1, int(header.get(prefix, 0)) + 1)]
        is_image = str(header.get("XTENSION", "IMAGE")).strip() == "IMAGE" or prefix == "ZNAXIS"
        if is_image and len(axes) >= 2:
            self._require_pixels(header, axes)
            return True
        self._skip(header, axes)
        return False

    def _require_pixels(self, header: "Header", axes: list[int]) -> None:
        tile = [int(header.get(f"ZTILE{number}", 1)) for number in range(1, len(axes) + 1)]
        for what, lengths in (("an image", axes), ("a tile", tile)):
            pixels = math.prod(lengths)
            if pixels > self._bounds.pixels:
                size = " x ".join(map(str, lengths))
                raise DataError(
                    f"file {str(self._path)!r} has {what} of {size} pixels, expected {self._bounds.pixels:,} at most: "
                    "remove it, or raise max_frame_pixels if the camera is so large"
                )

    def _skip(self, header: "Header", axes: list[int]) -> None:
        """What lies between a header and the next one; astropy passes it in the same way."""
        count = math.prod(axes) if axes else 0
        number = abs(int(header.get("BITPIX", 8))) // 8 * int(header.get("GCOUNT", 1))
        size = number * (int(header.get("PCOUNT", 0)) + count)
        if not 0 <= size <= MOST_BYTES_A_PIXEL * self._bounds.pixels:
            raise DataError(
                f"file {str(self._path)!r} has {size:,} bytes before its first image: it is damaged, or made to fill "
                "memory; remove it, or raise max_frame_pixels if it is good"
            )
        left = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        while left > 0 and (chunk := self._file.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
