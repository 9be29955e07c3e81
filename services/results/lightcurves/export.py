"""Light curves as files: CSV, ECSV, FITS, VOTable and Parquet, with units, descriptions and facts where they can.

The formats of others (`services.results.lightcurves.formats`) are written from here too.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow
from astropy.io.votable import from_table
from astropy.io.votable.tree import Param
from astropy.table import Table
from pyarrow import parquet

from services.errors import ConfigurationError
from services.results.lightcurves import formats
from services.whole_files import whole_file

# FITS keywords have eight characters.
FITS_KEYWORDS = {
    "observation": "OBSID",
    "target": "OBJECT",
    "filter": "FILTER",
    "instrument": "INSTRUME",
    "night": "NIGHT",
    "source": "SOURCEID",
    "x": "XPIX",
    "y": "YPIX",
    "ra_deg": "RA",
    "dec_deg": "DEC",
    "aperture_radius_px": "APRADIUS",
    "calibration_method": "CALMETH",
    "tianyu_version": "TIANYUVE",
    "choices": "CHOICES",
    "masters": "MASTERS",
}
VOTABLE_TYPES = {int: {"datatype": "long"}, float: {"datatype": "double"}}
VOTABLE_TEXT = {"datatype": "unicodeChar", "arraysize": "*"}


def write_stream(table: Table, stream: TextIO, format_name: str = "csv") -> None:
    """Write text to an open stream, such as standard output.

    Raises:
        ConfigurationError: the format is unknown, or is no text.
    """
    if format_name not in TEXT_FORMATS:
        _writer(format_name)
        printable = ", ".join(TEXT_FORMATS)
        raise ConfigurationError(f"format {format_name!r} needs a file (--output): only {printable} can be printed")
    TEXT_FORMATS[format_name](table, stream)


def write_file(table: Table, path: Path, format_name: str = "csv") -> None:
    """Write a file, replacing an old one when it is whole.

    Raises:
        ConfigurationError: the format is unknown, or the file cannot be written.
    """
    writer = _writer(format_name)
    with whole_file(path) as temporary:
        writer(table, temporary)


def _text(table: Table, path: Path, format_name: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_stream(table, stream, format_name)


def _fits(table: Table, path: Path) -> None:
    named = table.copy(copy_data=False)
    named.meta = {FITS_KEYWORDS[name]: _printable(value) for name, value in table.meta.items()}
    named.write(path, format="fits")


def _votable(table: Table, path: Path) -> None:
    document = from_table(table)
    first = document.get_first_table()
    for name, value in table.meta.items():
        kind = VOTABLE_TYPES.get(type(value), VOTABLE_TEXT)
        first.params.append(Param(document, name=name, value=_printable(value), **kind))
    document.to_xml(str(path))


def _parquet(table: Table, path: Path) -> None:
    """Straight through pyarrow: astropy's own writer loses masks."""
    fields, arrays = [], []
    for column in table.itercols():
        mask = np.ma.getmaskarray(np.ma.asarray(column))
        array = pyarrow.array(np.asarray(column).tolist(), mask=mask) if column.dtype.kind == "U" else None
        array = pyarrow.array(np.asarray(column), mask=mask) if array is None else array
        facts = {"description": column.description or "", "unit": str(column.unit or "")}
        fields.append(pyarrow.field(column.name, array.type, metadata=facts))
        arrays.append(array)
    meta = {name: str(value) for name, value in table.meta.items()}
    content = pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields, metadata=meta))
    with path.open("wb") as stream:
        parquet.write_table(content, stream)  # type: ignore[no-untyped-call]


def _printable(value: Any) -> Any:
    """Text as FITS and XML can hold it: printable ASCII, the rest as backslash escapes."""
    if not isinstance(value, str):
        return value
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in value)


def _writer(format_name: str) -> Callable[[Table, Path], None]:
    writer = WRITERS.get(format_name)
    if writer is None:
        raise ConfigurationError(f"format {format_name!r} is unknown: expected one of {', '.join(WRITERS)}")
    return writer


TEXT_FORMATS: dict[str, Callable[[Table, TextIO], None]] = {
    "csv": lambda table, stream: table.write(stream, format="ascii.csv"),
    "ecsv": lambda table, stream: table.write(stream, format="ascii.ecsv"),
    **formats.TEXT,
}
FORMATS: tuple[str, ...] = ("csv", "ecsv", "fits", "votable", "parquet")  # that keep every column
WRITERS: dict[str, Callable[[Table, Path], None]] = {
    "csv": partial(_text, format_name="csv"),
    "ecsv": partial(_text, format_name="ecsv"),
    "fits": _fits,
    "votable": _votable,
    "parquet": _parquet,
    **{name: partial(_text, format_name=name) for name in formats.TEXT},
    "lightkurve": formats.write_lightkurve,
}
