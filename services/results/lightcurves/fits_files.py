"""Light curves as FITS: a binary table whose header says what its columns mean, and by which clock its times count.

Columns have units (TUNIT), descriptions (TCOMM), UCDs (TUCD) and, where they are times, clock and place (TCTYP, TRPOS:
Rots et al. 2015, A&A 574, A36). A column of integers has a null value (TNULL) only where a value is missing.
"""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from services.results.lightcurves.portable import ORIGIN, TIME_SYSTEMS, ascii_text, creator, meaning_of

# FITS keywords have eight characters; the meaning of each goes with it.
KEYWORDS = {
    "observation": ("OBSID", "observation of Tianyu"),
    "target": ("OBJECT", "object of the frames"),
    "filter": ("FILTER", "filter of the camera"),
    "instrument": ("INSTRUME", "camera"),
    "telescope": ("TELESCOP", "telescope"),
    "observatory": ("OBSERVAT", "where the telescope stands"),
    "site": ("SITE", "whose files the frames are"),
    "night": ("NIGHT", "date of the evening"),
    "exposure_s": ("EXPTIME", "[s] exposure time of a frame"),
    "source": ("SOURCEID", "source of Tianyu"),
    "x": ("XPIX", "[pix] place on the first frame, from 0"),
    "y": ("YPIX", "[pix] place on the first frame, from 0"),
    "ra_deg": ("RA", "[deg] right ascension of the star"),
    "dec_deg": ("DEC", "[deg] declination of the star"),
    "aperture_radius_px": ("APRADIUS", "[pix] radius of the aperture"),
    "calibration_method": ("CALMETH", "relative calibration"),
    "graph_pid": ("GRAPHPID", "graph of processes"),
    "calibration_pid": ("CALPID", "process of the relative calibration"),
    "analysis_pid": ("ANALPID", "process that chose the aperture"),
    "detrend_pid": ("DETRPID", "process that detrended"),
    "zero_point_pid": ("ZEROPID", "process of the zero points"),
    "tianyu_version": ("TIANYUVE", "Tianyu that published it"),
    "choices": ("CHOICES", "choices that are not its defaults (JSON)"),
    "masters": ("MASTERS", "master frames"),
}
FORMATS = {"b": "L", "i1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}


def write_fits(table: Table, path: Path) -> None:
    """Write the table; facts that FITS has no word for go under their own names, as long as they are short."""
    columns, cards = [], []
    for number, name in enumerate(table.colnames, 1):
        columns.append(_column(table, name))
        meaning, words = meaning_of(name), table[name].description
        if words:
            cards.append((f"TCOMM{number}", ascii_text(words), ""))
        if meaning is not None and meaning.ucd:
            cards.append((f"TUCD{number}", meaning.ucd, ""))
        if meaning is not None and meaning.system in TIME_SYSTEMS:
            clock, place = TIME_SYSTEMS[meaning.system]
            cards += [(f"TCTYP{number}", clock, ""), (f"TRPOS{number}", place, ""), (f"TCUNI{number}", "d", "")]
    hdu = fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")
    for keyword, value, words in (*_head(table), *cards):
        hdu.header[keyword] = (value, words)
    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = (ORIGIN, "who made the file")
    primary.header["CREATOR"] = (creator(), "program that wrote the file")
    fits.HDUList([primary, hdu]).writeto(path, checksum=True)


def _head(table: Table) -> list[tuple[str, Any, str]]:
    cards: list[tuple[str, Any, str]] = [
        ("TIMESYS", "TDB", "clock of times whose column names none"),
        ("TREFPOS", "BARYCENTER", "where they are counted"),
        ("JDREF", 0.0, "times are whole Julian dates"),
        ("TIMEUNIT", "d", ""),
        ("RADESYS", "ICRS", "of right ascensions and declinations"),
    ]
    for name, value in table.meta.items():
        keyword, words = KEYWORDS.get(name, (f"HIERARCH {name}"[:40], ""))
        shown = ascii_text(value)
        long = isinstance(shown, str) and len(shown) > 60  # goes on in further cards, where no comment has room
        cards.append((keyword, shown, "" if long else words))
    return cards


def _column(table: Table, name: str) -> fits.Column:
    column = table[name]
    values, mask = np.asarray(column), np.ma.getmaskarray(np.ma.asarray(column))
    null = None
    if values.dtype.kind in "US":
        texts = ["" if is_null else ascii_text(str(one)) for one, is_null in zip(values, mask, strict=True)]
        values = np.array(texts, dtype=f"S{max([1, *map(len, texts)])}")
        code = f"{values.dtype.itemsize}A"
    else:
        code = FORMATS["b" if values.dtype.kind == "b" else values.dtype.str[1:]]
        if values.dtype.kind == "f":
            values = np.where(mask, np.nan, values)
        elif values.dtype.kind == "i" and mask.any():
            null = _outside(values[~mask])
            values = np.where(mask, null, values)
    unit = None if column.unit is None else column.unit.to_string("fits")
    return fits.Column(name, code, unit=unit, null=null, array=values)


def _outside(values: np.ndarray[Any, Any]) -> int:
    """A number that none of these is: -1 among counts and ids, else the smallest of the type."""
    return -1 if not values.size or values.min() >= 0 else int(np.iinfo(values.dtype).min)
