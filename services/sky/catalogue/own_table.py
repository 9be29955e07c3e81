"""A table of one's own as a catalogue: FITS, VOTable, Parquet, ECSV or CSV with Gaia's column names."""

import gzip
import io
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import ConfigurationError
from services.sky.catalogue.catalogue_stars import CatalogueStars
from services.sky.catalogue.gaia_columns import REQUIRED, TableProblemError, float_column, stars_of
from services.sky.catalogue.votables import require_own_data

FORMATS = {  # astropy's names, by the end of the file's name without .gz
    ".fits": "fits",
    ".fit": "fits",
    ".fts": "fits",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class FileCatalogue:
    """A file with all of its stars in memory; read once a process, and again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def cone(self, ra_deg: float, dec_deg: float, radius_deg: float, mag_limit: float) -> CatalogueStars:
        """Stars of the file.

        Raises:
            ConfigurationError: the file is missing, unreadable, or lacks columns.
        """
        return self.all().within(ra_deg, dec_deg, radius_deg, mag_limit)

    def all(self) -> CatalogueStars:
        """Every star of the file."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise ConfigurationError(
                f"catalog_file {str(self._path)!r} cannot be read: {error.strerror}; correct TIANYU_CATALOG_FILE"
            ) from error
        return _read(self._path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, _mtime_ns: int, _size: int) -> CatalogueStars:
    try:
        return stars_of(read_columns(path, "catalog_file"))
    except TableProblemError as error:
        raise ConfigurationError(
            f"catalog_file {str(path)!r}: {error}; a catalogue has at least Gaia's columns {', '.join(REQUIRED)}"
        ) from error


def read_columns(path: Path, setting: str) -> Mapping[str, Any]:
    """The columns of a table by their names; ``setting`` is what messages call it.

    Raises:
        ConfigurationError: the file is missing, of no known kind, or damaged.
    """
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in FORMATS:
        raise ConfigurationError(
            f"{setting} {str(path)!r} is of an unknown kind: expected a name that ends in {', '.join(FORMATS)}"
        )
    try:
        return _columns(path, FORMATS[suffix])
    except Exception as error:  # readers of five formats have no error in common
        raise ConfigurationError(f"{setting} {str(path)!r} cannot be read as {suffix[1:]}: {error}") from error


def numbers_of(columns: Mapping[str, Any], name: str, where: str) -> NDArray[np.float64]:
    """A column of a table as float64[n]; NaN where there is none.

    Raises:
        ConfigurationError: it holds no numbers; the message begins with ``where``.
    """
    try:
        return float_column(columns[name], name)
    except TableProblemError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _columns(path: Path, kind: str) -> Mapping[str, Any]:
    if kind == "parquet":
        return _parquet(path)
    from astropy.table import Table

    source: Any = path
    if kind == "votable":
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
        require_own_data(content)
        source = io.BytesIO(content)
    with warnings.catch_warnings(action="ignore"):  # of units and of the VOTable standard
        table = Table.read(source, format=kind)
    return {name: table[name] for name in table.colnames}


def _parquet(path: Path) -> Mapping[str, Any]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)  # type: ignore[no-untyped-call]
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        if column.null_count and pyarrow.types.is_integer(column.type):
            whole = column.fill_null(0).to_numpy()
            columns[name] = np.ma.MaskedArray(whole, mask=column.is_null().to_numpy())
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)
    return columns
