"""A file of stars: names, places, numbers of Gaia's and source ids, one a line or in columns."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.errors import ConfigurationError
from services.results.positions import GaiaId, Position, SourceId, Star, parse_pair, parse_radec, parse_target
from services.targets_file import read_targets
from services.whole_numbers import LARGEST, whole_number

GAIA_FROM = 10**9  # numbers that are Gaia's; sources count from 1
GAIA_NAME = re.compile(r"gaia(?:\s*e?dr\d)?\s*(\d{1,19})", re.IGNORECASE | re.ASCII)
TWO_PARTS = re.compile(r"(\S+)\s+(\S+)")
SOURCE, GAIA, RA, DEC = ("source_id", "source"), ("gaia_source_id", "gaia"), ("ra", "ra_deg"), ("dec", "dec_deg")
X, Y, TEXT = ("x",), ("y",), ("target", "name", "star", "radec")
KNOWN = {name for names in (SOURCE, GAIA, RA, DEC, X, Y, TEXT) for name in names}
TABLES = {".ecsv": "ascii.ecsv", ".fits": "fits", ".fit": "fits", ".vot": "votable", ".xml": "votable"}
FORMS = (
    "expected a line a star (HAT-P-32, 31.0428,46.6878, Gaia DR3 NUMBER, or a source id), or a first line that names "
    "columns: target or name, ra and dec, gaia, source, x and y"
)


@dataclass(frozen=True)
class Wanted:
    """A star of a list: what it is called there, and what is meant by it."""

    label: str
    star: Star


def star_of(text: str) -> Star:
    """What one text of a list means; two plain numbers are right ascension and declination, degrees.

    Raises:
        ConfigurationError: nothing.
    """
    given = " ".join(text.split())
    if gaia := GAIA_NAME.fullmatch(given):
        return GaiaId(_number(gaia[1]))
    if given.isascii() and given.isdigit():
        number = _number(given)
        return GaiaId(number) if number >= GAIA_FROM else SourceId(number)
    if (parts := TWO_PARTS.fullmatch(given)) and not any(letter.isalpha() for letter in given):
        given = f"{parts[1].rstrip(',')},{parts[2]}"
    if not given:
        raise ConfigurationError("it names no star")
    meant = parse_target(given)
    return Position(*meant.pair, kind="sky") if isinstance(meant, Position) and meant.kind == "either" else meant


def read_list(path: Path) -> list[Wanted]:
    """The stars of a file, in its order.

    A file of targets (TOML, as `tianyu run --targets` takes it) names its stars too; tables (ECSV, FITS, VOTable) have
    the same columns as CSV.

    Raises:
        ConfigurationError: it cannot be read, a line names no star, or there is none.
    """
    try:
        found = list(_stars(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"list {str(path)!r} cannot be read: {error}; {FORMS}") from error
    if not found:
        raise ConfigurationError(f"list {str(path)!r} names no star: {FORMS}")
    return found


def _stars(path: Path) -> Iterator[Wanted]:
    suffix = path.suffix.lower()
    if suffix == ".toml":
        for name, table in read_targets(path).items():
            stars = table.targets or ((table.radec,) if table.radec else (name,))
            for star in stars:
                with _telling(path, name):
                    yield Wanted(name if len(stars) == 1 else f"{name} {star}", star_of(star))
    elif suffix in TABLES:
        for number, row in enumerate(_rows_of_table(path), start=1):
            with _telling(path, f"row {number}"):
                yield _of_columns(row)
    else:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from _stars_of_text(path, csv.reader(stream, skipinitialspace=True))


def _stars_of_text(path: Path, reader: Any) -> Iterator[Wanted]:
    names: list[str] | None = None
    for row in reader:
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if names is None:
            names = [cell.lower() for cell in cells]
            if KNOWN & set(names):
                continue
            names = []
        with _telling(path, f"line {reader.line_num}"):
            yield _of_line(names, cells)


@contextmanager
def _telling(path: Path, where: str) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"list {str(path)!r}, {where}: {error}; {FORMS}") from error


def _of_line(names: Sequence[str], cells: Sequence[str]) -> Wanted:
    if names:
        if len(cells) != len(names):
            raise ConfigurationError(f"it has {len(cells)} columns and the first line {len(names)}")
        return _of_columns(dict(zip(names, cells, strict=True)))
    text = ",".join(cells).rstrip(",")
    return Wanted(text, star_of(text))


def _of_columns(row: Mapping[str, str]) -> Wanted:
    """The most certain of what a row tells; its name is what it is called."""

    def told(names: Sequence[str]) -> str:
        return next((row[name] for name in names if row.get(name)), "")

    source, gaia, text = told(SOURCE), told(GAIA), told(TEXT)
    places = [(told(first), told(second)) for first, second in ((RA, DEC), (X, Y))]
    for first, second in places:
        if bool(first) != bool(second):
            raise ConfigurationError(f"it has one of two coordinates: {first or second}")
    (ra, dec), (x, y) = places
    if source:
        return Wanted(text or source, SourceId(_number(source)))
    if gaia:
        return Wanted(text or f"Gaia DR3 {gaia}", GaiaId(_number(gaia)))
    if ra:
        return Wanted(text or f"{ra},{dec}", Position(*parse_radec(f"{ra},{dec}"), kind="sky"))
    if x:
        return Wanted(text or f"{x}px,{y}px", Position(*parse_pair(f"{x},{y}", "x,y"), kind="pixels"))
    return Wanted(text, star_of(text))


def _number(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise ConfigurationError(f"{text[:30]!r} is no number of a star: expected a whole number from 0 to {LARGEST}")
    return number


def _rows_of_table(path: Path) -> Iterator[Mapping[str, str]]:
    from astropy.io.registry import IORegistryError
    from astropy.table import Table

    try:
        table = Table.read(path, format=TABLES[path.suffix.lower()])
    except (ValueError, TypeError, IndexError, IORegistryError) as error:
        raise ConfigurationError(f"list {str(path)!r} is no table that can be read: {error}") from error
    columns = {name.lower(): name for name in table.colnames}
    if not KNOWN & set(columns):
        raise ConfigurationError(f"list {str(path)!r} has columns {', '.join(columns)}: {FORMS}")
    for row in table:
        values = {name: row[column] for name, column in columns.items() if name in KNOWN}
        yield {name: "" if str(value) in ("--", "nan") else str(value).strip() for name, value in values.items()}
