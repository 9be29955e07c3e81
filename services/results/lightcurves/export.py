"""Light curves as files: CSV, ECSV, FITS, VOTable and Parquet, with units, descriptions and facts where they can.

The formats of others (`services.results.lightcurves.formats`) are written from here too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow
from astropy.table import Table
from pyarrow import parquet

from services.errors import ConfigurationError
from services.results.lightcurves import formats
from services.results.lightcurves.aavso import Submission, write_aavso
from services.results.lightcurves.fits_files import write_fits
from services.results.lightcurves.portable import meaning_of
from services.results.lightcurves.votable_files import write_votable
from services.whole_files import Place, place_of, whole_file

# Whose files end so; the first is the usual one. Formats of text for other programs have suffixes of any text.
SUFFIXES: dict[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "ecsv": (".ecsv",),
    "fits": (".fits", ".fit", ".fts"),
    "votable": (".vot", ".votable", ".xml"),
    "parquet": (".parquet", ".pq"),
    "aavso": (".txt", ".csv", ".tsv"),  # WebObs takes no other
    "exoclock": (".txt", ".dat", ".csv", ".tsv"),
    "etd": (".txt", ".dat", ".csv", ".tsv"),
    "lightkurve": (".fits", ".fit", ".fts"),
}


def format_of(path: Path | None, wanted: str | None) -> str:
    """The format of a file by its name's end, or as told; CSV where the name has no end, or is a stream's.

    Raises:
        ConfigurationError: the end says another format than was told, or none.
    """
    suffix = "" if path is None else path.suffix.lower()
    if path is None or place_of(path) is not Place.FILE or (wanted is None and not suffix):
        return wanted or "csv"
    if wanted is None:
        for name in FORMATS:
            if suffix in SUFFIXES[name]:
                return name
        ends = ", ".join(SUFFIXES[name][0] for name in FORMATS)
        raise ConfigurationError(
            f"the name of {str(path)!r} tells no format: let it end in {ends}, or say --format ({', '.join(WRITERS)})"
        )
    known = {one for suffixes in SUFFIXES.values() for one in suffixes}
    _writer(wanted)
    if (suffix in known or wanted == "aavso") and suffix not in SUFFIXES[wanted]:
        raise ConfigurationError(
            f"format {wanted} does not go with the name {str(path)!r}: expected an end of {', '.join(SUFFIXES[wanted])}"
        )
    return wanted


def write_stream(table: Table, stream: TextIO, format_name: str = "csv", submission: Submission | None = None) -> None:
    """Write text to an open stream, such as standard output; `aavso` needs what its ``submission`` says.

    Raises:
        ConfigurationError: the format is unknown, or is no text.
    """
    if format_name == "aavso":
        if submission is None:
            raise ConfigurationError("format 'aavso' needs the observer's code and the star's name")
        write_aavso(table, stream, submission)
        return
    if format_name not in TEXT_FORMATS:
        _writer(format_name)
        printable = ", ".join((*TEXT_FORMATS, "aavso"))
        raise ConfigurationError(f"format {format_name!r} needs a file (--output): only {printable} can be printed")
    TEXT_FORMATS[format_name](table, stream)


def write_file(table: Table, path: Path, format_name: str = "csv", submission: Submission | None = None) -> None:
    """Write a file, replacing an old one when it is whole.

    Raises:
        ConfigurationError: the format is unknown, or the file cannot be written.
    """
    writer = _writer(format_name)
    with whole_file(path) as temporary:
        if writer is None:
            with temporary.open("w", encoding="utf-8", newline="") as stream:
                write_stream(table, stream, format_name, submission)
        else:
            writer(table, temporary)


def _parquet(table: Table, path: Path) -> None:
    """Straight through pyarrow: astropy's own writer loses masks."""
    fields, arrays = [], []
    for column in table.itercols():
        mask = np.ma.getmaskarray(np.ma.asarray(column))
        array = pyarrow.array(np.asarray(column).tolist(), mask=mask) if column.dtype.kind == "U" else None
        array = pyarrow.array(np.asarray(column), mask=mask) if array is None else array
        meaning = meaning_of(column.name)
        facts = {"description": column.description or "", "unit": str(column.unit or "")}
        if meaning is not None:
            facts |= {"ucd": meaning.ucd, "system": meaning.system}
        fields.append(pyarrow.field(column.name, array.type, metadata=facts))
        arrays.append(array)
    meta = {name: str(value) for name, value in table.meta.items()}
    content = pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields, metadata=meta))
    with path.open("wb") as stream:
        parquet.write_table(content, stream)  # type: ignore[no-untyped-call]


def _writer(format_name: str) -> Callable[[Table, Path], None] | None:
    """What writes a format's file; None of text."""
    if format_name not in WRITERS:
        raise ConfigurationError(f"format {format_name!r} is unknown: expected one of {', '.join(WRITERS)}")
    return WRITERS[format_name]


TEXT_FORMATS: dict[str, Callable[[Table, TextIO], None]] = {
    "csv": lambda table, stream: table.write(stream, format="ascii.csv"),
    "ecsv": lambda table, stream: table.write(stream, format="ascii.ecsv"),
    **formats.TEXT,
}
FORMATS: tuple[str, ...] = ("csv", "ecsv", "fits", "votable", "parquet")  # that keep every column
WRITERS: dict[str, Callable[[Table, Path], None] | None] = {
    "csv": None,
    "ecsv": None,
    "fits": write_fits,
    "votable": write_votable,
    "parquet": _parquet,
    "aavso": None,
    **dict.fromkeys(formats.TEXT),
    "lightkurve": formats.write_lightkurve,
}
