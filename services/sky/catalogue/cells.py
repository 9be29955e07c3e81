"""Cells of a catalogue on disk: one Parquet file each, with the magnitude down to which it is complete."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.errors import TransientError
from services.log import get_logger
from services.sky.catalogue.catalogue_stars import CatalogueStars

log = get_logger("catalogue")
# Cells of 55 arcmin. A field of 0.25 degrees touches 2.3 of them on average and has 14,000 stars of G < 18 fetched for
# 1,400 of its own; cells of order 5 would be 39,000, and those of order 7 6,000 in 4.1 files. A file is read in 1.4 ms.
ORDER = 6
TEMPORARY_FOLDER = "unfinished"  # as in the image store
TEMPORARY_SUFFIX = ".part"
SUFFIX = ".parquet"
MAG_LIMIT_KEY = b"tianyu.mag_limit"


@dataclass(frozen=True)
class StoredCell:
    """What is known of a cell without reading its stars."""

    cell: int
    mag_limit: float
    stars: int
    size_bytes: int


class CellStore:
    """``FOLDER/ORDER/CELL.parquet``; any number of consumers may read and write at once."""

    def __init__(self, folder: Path, order: int) -> None:
        self._folder = folder / str(order)

    def read(self, cell: int, mag_limit: float) -> CatalogueStars | None:
        """Stars of a cell; None where it is not there, not as deep, or damaged."""
        import pyarrow.parquet

        path = self._path(cell)
        try:
            with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:  # type: ignore[no-untyped-call]
                if _mag_limit(file.metadata) < mag_limit:
                    return None
                table = file.read(use_threads=False)
            columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in _names()}
            return CatalogueStars(**columns)
        except FileNotFoundError:
            return None
        except (OSError, KeyError, ValueError, TypeError) as error:  # pyarrow's own errors are among them
            log.warning("a damaged file of the catalogue's cache is fetched again", file=str(path), reason=str(error))
            return None

    def write(self, cell: int, stars: CatalogueStars, mag_limit: float) -> None:
        """Keep a cell, unless another consumer has put a deeper one there meanwhile.

        Raises:
            TransientError: the disk is full or failed; nothing is left behind.
        """
        import pyarrow
        import pyarrow.parquet

        kept = self.describe(cell)
        if kept is not None and kept.mag_limit > mag_limit:
            return
        path = self._path(cell)
        temporary = (
            path.parent / TEMPORARY_FOLDER / f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
        )
        table = pyarrow.table(stars.columns()).replace_schema_metadata({MAG_LIMIT_KEY: repr(mag_limit)})
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)  # type: ignore[no-untyped-call]
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise TransientError(
                f"file {str(path)!r} of the catalogue's cache cannot be written: {error}; is the disk full or the "
                "folder not writable? TIANYU_CATALOG_DIR names another"
            ) from error

    def describe(self, cell: int) -> StoredCell | None:
        """Depth and size of a cell; None where it is not there or damaged."""
        import pyarrow.parquet

        path = self._path(cell)
        try:
            size = path.stat().st_size
            metadata = pyarrow.parquet.read_metadata(path)  # type: ignore[no-untyped-call]
            return StoredCell(cell, _mag_limit(metadata), metadata.num_rows, size)
        except (OSError, KeyError, ValueError, TypeError):
            return None

    def all(self) -> Iterator[StoredCell]:
        """Every whole cell, in the order of their numbers."""
        numbers = sorted(int(path.stem) for path in self._folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())
        for number in numbers:
            found = self.describe(number)
            if found is not None:
                yield found

    def _path(self, cell: int) -> Path:
        return self._folder / f"{cell}{SUFFIX}"


def _names() -> list[str]:
    return list(CatalogueStars.__dataclass_fields__)


def _mag_limit(metadata: Any) -> float:
    return float((metadata.metadata or {})[MAG_LIMIT_KEY])
