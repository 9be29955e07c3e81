"""Size of a pixel on the sky, from the many ways headers write it: a hint for solving, which measures it."""

import math
import re

from astropy.io import fits

from pipeline.units import ARCSEC
from services.ingest import cards
from services.ingest.dialect import Dialect
from services.ingest.dialect_files import STANDARD

NAMED_SCALE = "SCALE"  # of anything, unless its comment speaks of arcseconds
SCALE_RANGE_ARCSEC = (0.02, 200.0)  # a large telescope's adaptive optics; a camera lens of 10 mm
FOCAL_LENGTH_RANGE_MM = (8.0, 200_000.0)
PIXEL_SIZE_RANGE_UM = (0.8, 200.0)
MM_IN = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
ARCSEC_PER_UM_MM = 206.264806  # 1 µm seen from 1 mm

_UNITS = ("arcsec", '"', "arcsec/pixel", "arcsec/pix", '"/pixel', '"/pix')
_IN_ARCSEC = re.compile(r"arc-?\s?sec|\"|''", re.ASCII)
_UNBINNED = re.compile(r"un-?binned|without binning|before binning|not binned", re.ASCII)


def pixel_scale(header: fits.Header, binning: str, words: Dialect = STANDARD) -> tuple[float | None, tuple[str, ...]]:
    """(arcsec a pixel of the frame, notes): as written, else from focal length and pixel size, else of the WCS.

    binning: of the frame, ``2x2``; pixel sizes count it in already (SBIG's and most programs' rule), unless the
    comment says otherwise. What no camera has is left out with a note.
    """
    notes: list[str] = []
    for way, found in (
        ("the scale in the header", _written(header, words)),
        ("focal length and pixel size", _from_optics(header, binning, words)),
        ("the header's WCS", _from_wcs(header)),
    ):
        if found is None:
            continue
        if SCALE_RANGE_ARCSEC[0] <= found <= SCALE_RANGE_ARCSEC[1]:
            return found, tuple(notes)
        notes.append(
            f"pixel scale of {found:.4g} arcsec by {way} is ignored: expected {SCALE_RANGE_ARCSEC[0]:g} to "
            f"{SCALE_RANGE_ARCSEC[1]:g}"
        )
    return None, tuple(notes)


def _written(header: fits.Header, words: Dialect) -> float | None:
    """A zero says that the program does not know."""
    for key in words.keywords.scale:
        value = cards.as_number(cards.raw(header, key), _UNITS)
        if value is None or value == 0.0:
            continue
        if key != NAMED_SCALE or _IN_ARCSEC.search(cards.comment(header, key)):
            return value
    return None


def _from_optics(header: fits.Header, binning: str, words: Dialect) -> float | None:
    focal_length = _focal_length(header, words)
    if focal_length is None:
        return None
    factors = [int(factor) for factor in binning.split("x")]
    for keys in words.keywords.pixel_size:
        sizes = []
        for key, factor in zip(keys, factors, strict=True):
            size, _ = cards.number(header, (key,), *PIXEL_SIZE_RANGE_UM, units=("um", "microns", "micron"))
            if size is not None:
                sizes.append(size * (factor if _UNBINNED.search(cards.comment(header, key)) else 1))
        if sizes:
            return ARCSEC_PER_UM_MM * math.prod(sizes) ** (1 / len(sizes)) / focal_length
    return None


def _focal_length(header: fits.Header, words: Dialect) -> float | None:
    """In mm, its unit where the dialect knows no other."""
    for key in words.keywords.focal_length:
        value = cards.as_number(cards.raw(header, key), ("mm",))
        value = None if value is None else value * MM_IN.get(words.units.get(key, "mm"), 1.0)
        if value is not None and FOCAL_LENGTH_RANGE_MM[0] <= value <= FOCAL_LENGTH_RANGE_MM[1]:
            return value
    return None


def _from_wcs(header: fits.Header) -> float | None:
    """Root of the pixel's area by CD, else by CDELT, of celestial axes."""
    if not str(cards.raw(header, "CTYPE1")).startswith("RA--"):
        return None
    cd = [[cards.as_number(cards.raw(header, f"CD{i}_{j}")) for j in (1, 2)] for i in (1, 2)]
    if cd[0][0] is None and cd[0][1] is None:
        steps = [cards.as_number(cards.raw(header, f"CDELT{i}")) for i in (1, 2)]
        area = abs((steps[0] or 0.0) * (steps[1] or 0.0))
    else:
        (a, b), (c, d) = ([value or 0.0 for value in row] for row in cd)
        area = abs(a * d - b * c)
    # CDELT of 1 beside no other card is astropy's and the standard's default: nobody wrote a scale.
    return math.sqrt(area) * ARCSEC if area not in (0.0, 1.0) else None
