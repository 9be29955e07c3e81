"""Index files of Astrometry.net: patterns of stars of the whole sky, by size. Where they are, and which suit a field.

They come as Debian's ``astrometry-data-tycho2`` or from data.astrometry.net; nothing here downloads any. The size of
the patterns is read from the file's header: names of series differ.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.units import ARCSEC

if TYPE_CHECKING:
    from astropy.io.fits import Header

USUAL_FOLDERS = (
    "/usr/share/astrometry",
    "/usr/local/share/astrometry",
    "/usr/local/astrometry/data",
    "/opt/homebrew/share/astrometry",
)
PATTERN = "*.fits"
BLOCK_BYTES, CARD_BYTES = 2880, 80
HEADER_BLOCKS_MOST = 40  # a longer one is no index file's
END_CARD = b"END".ljust(CARD_BYTES)
BYTE_ORDERS = {"little": "04:03:02:01", "big": "01:02:03:04"}  # of card ENDIAN; the solver maps the numbers as they lie
SMALLEST_SHARE = 0.1  # of the field's shorter side: smaller patterns are drowned in centroid noise and in numbers
TILES = 12  # HEALPix base cells


@dataclass(frozen=True)
class IndexFile:
    """One file: patterns of stars of diameters between two sizes, of the whole sky or of a part of it."""

    path: Path
    smallest_deg: float
    largest_deg: float
    base_cell: int | None  # HEALPix, order 0; None: the whole sky


def find_index_files(index_dir: Path | None) -> list[IndexFile]:
    """All in the folder that is set, else in the first usual one that has any; smallest patterns first.

    A usual folder is one of a system; TIANYU_INDEX_DIR, when set, is the only one that is looked at.
    """
    for folder in [index_dir] if index_dir is not None else map(Path, USUAL_FOLDERS):
        found = [file for path in _paths(folder) if (file := _read(path)) is not None]
        if found:
            return sorted(found, key=lambda file: (file.smallest_deg, file.path.name))
    return []


def suitable(files: Iterable[IndexFile], shape: tuple[int, int], scale_arcsec: tuple[float, float]) -> list[IndexFile]:
    """Those with patterns that an image of shape (ny, nx) may hold whole, smallest first: they know the most stars.

    scale_arcsec: least and greatest size of a pixel.
    """
    shorter_deg = min(shape) * scale_arcsec[0] / ARCSEC
    diagonal_deg = math.hypot(*shape) * scale_arcsec[1] / ARCSEC
    return [
        file for file in files if file.largest_deg >= SMALLEST_SHARE * shorter_deg and file.smallest_deg <= diagonal_deg
    ]


def of_region(files: Sequence[IndexFile], ra_deg: float, dec_deg: float, radius_deg: float) -> list[IndexFile]:
    """Those that know stars within a circle: files of a part of the sky elsewhere are left out.

    Compared by HEALPix's twelve base cells, whose numbers are the same in all of its numberings.
    """
    if all(file.base_cell is None for file in files):
        return list(files)
    from pipeline.sky.healpix import cells_of_cone

    cells = set(cells_of_cone(ra_deg, dec_deg, min(radius_deg, 180.0), order=0).tolist())
    return [file for file in files if file.base_cell is None or file.base_cell in cells]


def _paths(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob(PATTERN))
    except OSError:  # a folder that may not be listed has none for us
        return []


def _read(path: Path) -> IndexFile | None:
    """What the header says; None for a file that is no index file of this machine's byte order."""
    cards = _cards(path)
    order = cards.get("ENDIAN")
    if order is not None and str(order).strip() != BYTE_ORDERS[sys.byteorder]:
        return None
    try:
        lower, upper = float(cards["SCALE_L"]), float(cards["SCALE_U"])
        tile, nside = int(cards.get("HEALPIX", -1)), int(cards.get("HPNSIDE", 0))
    except (KeyError, TypeError, ValueError):
        return None
    if not 0 < lower < upper:
        return None
    base_cell = tile // max(nside, 1) ** 2 if tile >= 0 else None
    return IndexFile(path, math.degrees(lower), math.degrees(upper), base_cell if base_cell in range(TILES) else None)


def _cards(path: Path) -> "Header":
    """The first header; empty where there is none. astropy opens all parts of a file, which takes ten times as long."""
    from astropy.io.fits import Header

    text = b""
    try:
        with path.open("rb") as file:
            for _ in range(HEADER_BLOCKS_MOST):
                block = file.read(BLOCK_BYTES)
                if not (text or block.startswith(b"SIMPLE  =")) or len(block) < BLOCK_BYTES:
                    break
                text += block
                if END_CARD in block:
                    header: Header = Header.fromstring(text.decode("ascii", errors="replace"))
                    return header
    except OSError:
        pass
    return Header()
