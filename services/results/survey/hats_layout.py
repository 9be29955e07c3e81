"""The layout of HATS: files by HEALPix pixels, which are as fine as rows and points ask for, and what describes them.

HATS is the layout of the LINCC Frameworks (Caplar et al. 2025, arXiv:2501.02103; https://hats.readthedocs.io).
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from services.errors import ConfigurationError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.portable import creator
from services.whole_files import TEMPORARY_SUFFIX, make_folder

SPATIAL_INDEX, SPATIAL_ORDER = "_healpix_29", 29
POINTS_OF_A_FILE = 2_000_000  # about 100 MB; a pixel with more is divided into four
FINEST_ORDER = 12  # of pixels, 52 arcsec: stars that lie closer share a file, however many points they have
PIXELS_OF_A_FOLDER = 10_000
PROPERTIES = "hats.properties"
OWN_BUILDER = "Tianyu "  # by which a catalogue is known that may be replaced
NIGHT_COLUMNS = {"filter": pyarrow.string(), "night": pyarrow.date32()}  # of each point
Pixel = tuple[int, int]  # order, number
Ints = NDArray[np.int64]


class Nested(NamedTuple):
    """Rows to be written, in order of their cells.

    Attributes:
        cells: int64[n], of SPATIAL_ORDER.
        weight: int64[n], points of each row, about.
        schema: of the table that ``rows`` gives of some of them, in their order; its column `points` counts these.
    """

    cells: Ints
    weight: Ints
    schema: pyarrow.Schema
    rows: Callable[[slice], pyarrow.Table]


def in_order(index: Ints, *others: Ints) -> Ints:
    """Order of rows by their cells, and of those of one cell by others."""
    return np.lexsort((*reversed(others), index))


def write_layout(folder: Path, nested: Nested, told: Callable[[int, int], None]) -> int:
    """Write a catalogue in place of an earlier one when it is whole; how many points it has.

    ``told``: rows written, and of how many.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}{TEMPORARY_SUFFIX}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        written = _write_pixels(temporary, nested, told)
        _write_description(temporary, folder.name, written)
        _take_place(temporary, folder)
    except OSError as error:
        raise ConfigurationError(f"folder {str(folder)!r} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sum(points for _, points in written.values())


def require_own(folder: Path) -> None:
    """Make sure that a catalogue may be put there: nothing is there, or one that Tianyu wrote.

    Raises:
        ConfigurationError: something else is.
    """
    if not folder.name:
        raise ConfigurationError(f"folder {str(folder)!r} has no name: choose a folder for the catalogue alone")
    if folder.is_dir():
        file = folder / PROPERTIES
        words = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        if f"hats_builder={OWN_BUILDER}" in words or not any(folder.iterdir()):
            return
    elif not folder.exists():
        return
    raise ConfigurationError(
        f"{str(folder)!r} is there and is no HATS catalogue of Tianyu: choose another folder, "
        "for it is replaced as a whole"
    )


def pixels_of(index: Ints, weight: Ints, most: int = POINTS_OF_A_FILE) -> list[tuple[Pixel, slice]]:
    """Pixels with at most so much weight, as coarse as they may be, and which of the stars lie in each.

    index: int64[n], cells of SPATIAL_ORDER in increasing order. A pixel of FINEST_ORDER may have more.
    """
    found: list[tuple[Pixel, slice]] = []
    total = np.concatenate([[0], np.cumsum(weight)])

    def divide(level: int, number: int) -> None:
        below = 2 * (SPATIAL_ORDER - level)
        start, stop = np.searchsorted(index, [number << below, (number + 1) << below]).tolist()
        if start == stop:
            return
        if total[stop] - total[start] <= most or level == FINEST_ORDER:
            found.append(((level, number), slice(start, stop)))
            return
        for child in range(4):
            divide(level + 1, 4 * number + child)

    for number in range(12):
        divide(0, number)
    return found


def pixel_file(pixel: Pixel) -> Path:
    """Where a pixel's rows are, below the folder `dataset`."""
    order, number = pixel
    start = number // PIXELS_OF_A_FOLDER * PIXELS_OF_A_FOLDER
    return Path(f"Norder={order}", f"Dir={start}", f"Npix={number}.parquet")


def nested_column(
    schema: pyarrow.Schema, name: str, offsets: NDArray[np.int64], values: Mapping[str, pyarrow.Array]
) -> pyarrow.StructArray:
    """A structure of lists: row ``n`` has the values from ``offsets[n]`` to ``offsets[n + 1]``."""
    kind, starts = schema.field(name).type, pyarrow.array(offsets, type=pyarrow.int32())
    fields = [kind.field(number) for number in range(kind.num_fields)]
    return pyarrow.StructArray.from_arrays(
        [pyarrow.ListArray.from_arrays(starts, values[one.name]) for one in fields], fields=fields
    )


def nested_field(name: str, kinds: Mapping[str, pyarrow.DataType]) -> pyarrow.Field:
    """The column that `nested_column` fills: of each point what is named, and its night."""
    lists = [pyarrow.field(one, pyarrow.list_(kind)) for one, kind in {**kinds, **NIGHT_COLUMNS}.items()]
    return pyarrow.field(name, pyarrow.struct(lists))


def night_values(nights: Sequence[ObservationFacts]) -> dict[str, pyarrow.Array]:
    """`NIGHT_COLUMNS` of points, by the observation of each."""
    return {
        name: pyarrow.array([getattr(one, name) for one in nights], type=kind) for name, kind in NIGHT_COLUMNS.items()
    }


def index_field() -> pyarrow.Field:
    """The first column."""
    return pyarrow.field(SPATIAL_INDEX, pyarrow.int64(), metadata={"description": "HEALPix cell of order 29, nested"})


def points_field() -> pyarrow.Field:
    """How many points a row has."""
    return pyarrow.field("points", pyarrow.int64(), metadata={"description": "points of the light curve"})


def _write_pixels(folder: Path, nested: Nested, told: Callable[[int, int], None]) -> dict[Pixel, tuple[int, int]]:
    """Files of all pixels; rows and points of each."""
    metadata: list[parquet.FileMetaData] = []
    written: dict[Pixel, tuple[int, int]] = {}
    for pixel, chosen in pixels_of(nested.cells, nested.weight):
        table = nested.rows(chosen)
        path = folder / "dataset" / pixel_file(pixel)
        make_folder(path.parent)
        parquet.write_table(table, path, compression="zstd", metadata_collector=metadata)  # type: ignore[no-untyped-call]
        metadata[-1].set_file_path(str(pixel_file(pixel)))
        written[pixel] = len(table), int(np.sum(table["points"].to_numpy()))
        told(chosen.stop, len(nested.cells))
    parquet.write_metadata(nested.schema, folder / "dataset" / "_metadata", metadata_collector=metadata)  # type: ignore[no-untyped-call]
    parquet.write_metadata(nested.schema, folder / "dataset" / "_common_metadata")  # type: ignore[no-untyped-call]
    return written


def _write_description(folder: Path, name: str, written: Mapping[Pixel, tuple[int, int]]) -> None:
    pixels = sorted(written)
    lines = ["Norder,Npix", *(f"{order},{number}" for order, number in pixels)]
    (folder / "partition_info.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows, coarse = sum(rows for rows, _ in written.values()), max(order for order, _ in pixels)
    size = sum(file.stat().st_size for file in (folder / "dataset").rglob("*.parquet"))
    facts = {
        "obs_collection": _word(name),
        "dataproduct_type": "object",
        "hats_nrows": rows,
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": SPATIAL_INDEX,
        "hats_col_healpix_order": SPATIAL_ORDER,
        "hats_npix_suffix": ".parquet",
        "hats_order": coarse,
        "hats_builder": creator(),
        "hats_creation_date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M%Z"),
        "hats_estsize": size // 1024,
        "hats_frame": "equatorial",
        "hats_version": "v1.0",
        "moc_sky_fraction": f"{sum(1.0 / (12 * 4**order) for order, _ in pixels):.8g}",
    }
    words = "#HATS catalog\n" + "".join(f"{key}={value}\n" for key, value in facts.items())
    for file in (PROPERTIES, "properties"):
        (folder / file).write_text(words, encoding="utf-8")


def _word(name: str) -> str:
    """A folder's name as a value of a properties file."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name) or "tianyu"


def _take_place(temporary: Path, folder: Path) -> None:
    """Put the whole catalogue in the place of the earlier one, which is there until then."""
    earlier = folder.with_name(f".{folder.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if folder.exists():
        folder.rename(earlier)
    temporary.rename(folder)
    shutil.rmtree(earlier, ignore_errors=True)
