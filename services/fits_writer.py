"""FITS files written as `astropy.io.fits` writes them, to the byte, in less than half of its time.

And cards that come later, in the room that an image's header has for them.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.byte_order import swap_into
from services.errors import DataError
from services.fits_cards import card

FITS_BLOCK_BYTES = 2880
CARD_BYTES = 80
KEYWORD_CHARACTERS, VALUE_START, VALUE_END = 8, 10, 30  # of a card with a number
BLANK_CARD = b" " * CARD_BYTES
END_CARD = b"END".ljust(CARD_BYTES)
# Room behind an image's own cards for those that come later. A WCS is 16 cards, with distortion (SIP, inverse too) of
# degree 4 it is 75, of degree 5 it is 99; times and place are 20; and the marker.
ROOM_CARDS = 120
ADDED_CARDS = b"COMMENT Added later: coordinates on the sky.".ljust(CARD_BYTES)  # what follows may be replaced
WRITTEN_AT_ONCE = 1 << 20  # bytes, at least a row: they are still in the processor's cache when they are written
FITS_NUMBERS = ("u1", "i2", "i4", "i8", "f4", "f8")  # as numpy writes them, without a zero or a scale beside them


def write_fits(
    path: Path, image: NDArray[Any], extras: Mapping[str, NDArray[Any]], header: Mapping[str, Any], cards: str = ""
) -> None:
    """Write an image and extensions as `astropy.io.fits` would, to the byte; its ``writeto`` takes twice as long.

    ``cards`` of 80 characters each follow those of ``header``. The image's header ends in blank cards: room for
    coordinates, which come when the pixels lie on the disk for long.
    """
    from astropy.io import fits

    further = "".join(card(key, value) for key, value in header.items()) + cards
    hdus = [(image, _cards(fits.PrimaryHDU, image.dtype), further)]
    for name, data in extras.items():
        kind = fits.BinTableHDU if data.dtype.names else fits.ImageHDU
        hdus.append((data, _cards(kind, data.dtype, name=name), ""))
    with path.open("wb") as file:
        for number, hdu in enumerate(hdus):
            _write_hdu(file, *hdu, room=0 if number else ROOM_CARDS)


@cache
def _cards(kind: Any, dtype: np.dtype[Any], **options: str) -> tuple[str, ...]:
    """Header of an HDU without data, card by card; making one takes longer than writing the stars of a frame."""
    for number in [dtype[name] for name in dtype.names] if dtype.names else [dtype]:
        if number.str[1:] not in FITS_NUMBERS:
            raise TypeError(f"FITS has no numbers of type {number} in {dtype}: expected {', '.join(FITS_NUMBERS)}")
    header: Any = kind(np.empty(0 if dtype.names else (0, 0), dtype), **options).header
    return tuple(card.image for card in header.cards)


def _write_hdu(file: BinaryIO, data: NDArray[Any], cards: Sequence[str], further: str, *, room: int) -> None:
    lengths = {
        f"NAXIS{axis}".ljust(KEYWORD_CHARACTERS): length
        for axis, length in enumerate(reversed(data.shape), start=2 if data.dtype.names else 1)
    }
    own = [
        f"{card[:VALUE_START]}{lengths[card[:KEYWORD_CHARACTERS]]:>{VALUE_END - VALUE_START}}{card[VALUE_END:]}"
        if card[:KEYWORD_CHARACTERS] in lengths
        else card
        for card in cards
    ]
    header = "".join([*own, further]).encode("ascii")
    if room:
        file.write(_whole_blocks(header, len(header) + room * CARD_BYTES))
    else:
        header += END_CARD
        file.write(header.ljust(len(header) + -len(header) % FITS_BLOCK_BYTES))
    rows = max(1, WRITTEN_AT_ONCE // max(1, data[:1].nbytes))
    for start in range(0, len(data), rows):  # a large image is not copied as a whole
        file.write(_big_endian(data[start : start + rows]))
    file.write(bytes(-data.nbytes % FITS_BLOCK_BYTES))


def _big_endian(data: NDArray[Any]) -> memoryview:
    """The bytes of native numbers, or of a table's rows, as FITS has them."""
    if data.dtype.names or data.dtype.itemsize == 1 or not data.dtype.isnative:
        return memoryview(data.astype(data.dtype.newbyteorder(">")).tobytes())
    swapped = np.empty(data.size, data.dtype)
    swap_into(np.ascontiguousarray(data), swapped)
    return swapped.view(np.uint8).data


def first_header(file: BinaryIO, path: str) -> bytes:
    """The whole blocks of the primary header, cards and padding; the file stands behind it."""
    header = next_header(file)
    if header is None:
        raise DataError(f"file {path!r} has no whole FITS header: is it whole?")
    return header


def next_header(file: BinaryIO, most_bytes: float = math.inf) -> bytes | None:
    """The whole blocks of the header that begins where the file stands, which then stands behind it; None: no such."""
    is_first, blocks = file.tell() == 0, b""
    while len(blocks) < most_bytes and len(block := file.read(FITS_BLOCK_BYTES)) == FITS_BLOCK_BYTES:
        if not (blocks or block.startswith(b"SIMPLE  =" if is_first else b"XTENSION=")):
            return None
        blocks += block
        if END_CARD in block and END_CARD in (block[at : at + CARD_BYTES] for at in range(0, len(block), CARD_BYTES)):
            return blocks
    return None


def with_cards(header: bytes, cards: Mapping[str, Any]) -> bytes:
    """The header with ``cards`` behind the marker, at least as long as before; older ones of their names are gone.

    cards: value, or (value, comment), by keyword.
    """
    from astropy.io import fits

    old = [header[start : start + CARD_BYTES] for start in range(0, len(header), CARD_BYTES)]
    old = old[: old.index(ADDED_CARDS if ADDED_CARDS in old else END_CARD)]
    new = {f"{keyword:<{KEYWORD_CHARACTERS}}=".encode() for keyword in cards}
    old = [card for card in old if card[: KEYWORD_CHARACTERS + 1] not in new]
    while old[-1] == BLANK_CARD:
        old.pop()
    told = ((key, value if isinstance(value, tuple) else (value,)) for key, value in cards.items())
    added = "".join(fits.Card(key, *value).image for key, value in told).encode("ascii")
    return _whole_blocks(b"".join(old) + ADDED_CARDS + added, len(header))


def _whole_blocks(cards: bytes, least: int) -> bytes:
    """Cards with blank ones behind them, so that END is the last of a block; at least ``least`` bytes."""
    length = max(least, len(cards) + CARD_BYTES)
    return cards.ljust(length + -length % FITS_BLOCK_BYTES - CARD_BYTES) + END_CARD
