"""All stars with their light curves as a HATS catalogue, which LSDB opens: files by HEALPix pixels, curves nested.

HATS is the layout of the LINCC Frameworks (Caplar et al. 2025, arXiv:2501.02103; https://hats.readthedocs.io): a row is
a star, column `light_curve` a structure of lists of equal length, and pixels are as fine as rows and points ask for.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.sky.healpix import cells
from schema.photometry import LightCurveStatistics
from schema.skies import Source
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.portable import creator
from services.results.survey.survey_points import (
    POINTS,
    STARS,
    STARS_AT_ONCE,
    placed_stars,
    read_points,
    read_stars,
    tell_nobody,
)
from services.whole_files import TEMPORARY_SUFFIX, make_folder

SPATIAL_INDEX, SPATIAL_ORDER = "_healpix_29", 29
POINTS_OF_A_FILE = 2_000_000  # about 100 MB; a pixel with more is divided into four
FINEST_ORDER = 12  # of pixels, 52 arcsec: stars that lie closer share a file, however many points they have
PIXELS_OF_A_FOLDER = 10_000
PROPERTIES = "hats.properties"
OWN_BUILDER = "Tianyu "  # by which a catalogue is known that may be replaced
CURVE = "light_curve"
# Of each point; what is the same for all points of a star is beside the curve.
CURVE_COLUMNS = (
    *("observation_id", "image_id", "jd_utc", "bjd_tdb", "bjd_tdb_source", "aperture", "flux_raw", "flux_raw_error"),
    *("flux_relative", "flux_relative_error", "flux_detrended", "flux_detrended_error", "mag", "mag_error"),
    *("flag", "usable"),
)
NIGHT_COLUMNS = {"filter": pyarrow.string(), "night": pyarrow.date32()}
Pixel = tuple[int, int]  # order, number
Ints = NDArray[np.int64]


def write_catalog(
    session: Session,
    observations: Sequence[ObservationFacts],
    folder: Path,
    told: Callable[[int, int], None] = tell_nobody,
) -> tuple[int, int, int]:
    """Write the catalogue in place of an earlier one when it is whole; stars, points, and stars without a place.

    Each star has the points of its best aperture on each of these nights. ``told``: stars written, and of how many.

    Raises:
        DataError: no star has a place on the sky and points.
        ConfigurationError: something else is in the folder, or it cannot be written.
    """
    require_own(folder)
    numbers = [one.observation_id for one in observations]
    placed, counted = placed_stars(session), _points_by_star(session, observations)
    stars = np.array([star for star in placed if star[0] in counted], dtype=np.float64).reshape(-1, 3)
    if not len(stars):
        raise DataError("no star with light curves has a place on the sky: are the fields solved (`tianyu status`)?")
    ids, radec = stars[:, 0].astype(np.int64), stars[:, 1:]
    index = cells(radec, SPATIAL_ORDER)
    order = np.lexsort((ids, index))
    ids, index = ids[order], index[order]
    weight = np.array([counted[one] for one in ids.tolist()], dtype=np.int64)
    temporary = folder.with_name(f".{folder.name}{TEMPORARY_SUFFIX}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        written = _write_pixels(session, temporary, observations, numbers, (ids, index, weight), told)
        _write_description(temporary, folder.name, written)
        _take_place(temporary, folder)
    except OSError as error:
        raise ConfigurationError(f"folder {str(folder)!r} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    total = sum(rows for rows, _ in written.values()), sum(points for _, points in written.values())
    return *total, len(counted) - len(ids)


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


def _points_by_star(session: Session, observations: Sequence[ObservationFacts]) -> dict[int, int]:
    """Points of each star in its best apertures, by statistics; a star that is another's counts as that."""
    own = func.coalesce(Source.same_as, Source.source_id)
    pids = [one.analysis_pid for one in observations if one.analysis_pid is not None]
    rows = session.execute(
        select(own, func.sum(LightCurveStatistics.epochs))
        .join(Source, Source.source_id == LightCurveStatistics.source_id)
        .where(LightCurveStatistics.pid.in_(pids), LightCurveStatistics.best_aperture.is_(True))
        .group_by(own)
    )
    return {row[0]: int(row[1]) for row in rows}


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


def _schema() -> pyarrow.Schema:
    curve = pyarrow.struct(
        [
            *(pyarrow.field(name, pyarrow.list_(POINTS.field(name).type)) for name in CURVE_COLUMNS),
            *(pyarrow.field(name, pyarrow.list_(kind)) for name, kind in NIGHT_COLUMNS.items()),
        ]
    )
    points = pyarrow.field("points", pyarrow.int64(), metadata={"description": "points of the light curve"})
    index = pyarrow.field(SPATIAL_INDEX, pyarrow.int64(), metadata={"description": "HEALPix cell of order 29, nested"})
    return pyarrow.schema([index, *STARS, points, pyarrow.field(CURVE, curve)])


def _write_pixels(
    session: Session,
    folder: Path,
    observations: Sequence[ObservationFacts],
    numbers: Sequence[int],
    stars: tuple[Ints, Ints, Ints],
    told: Callable[[int, int], None],
) -> dict[Pixel, tuple[int, int]]:
    """Files of all pixels; rows and points of each."""
    ids, index, weight = stars
    nights = {one.observation_id: one for one in observations}
    schema = _schema()
    metadata: list[parquet.FileMetaData] = []
    written: dict[Pixel, tuple[int, int]] = {}
    for pixel, chosen in pixels_of(index, weight):
        table = _rows_of(session, ids[chosen], index[chosen], numbers, nights, schema)
        path = folder / "dataset" / pixel_file(pixel)
        make_folder(path.parent)
        parquet.write_table(table, path, compression="zstd", metadata_collector=metadata)  # type: ignore[no-untyped-call]
        metadata[-1].set_file_path(str(pixel_file(pixel)))
        written[pixel] = len(table), int(np.sum(table["points"].to_numpy()))
        told(chosen.stop, len(ids))
    parquet.write_metadata(schema, folder / "dataset" / "_metadata", metadata_collector=metadata)  # type: ignore[no-untyped-call]
    parquet.write_metadata(schema, folder / "dataset" / "_common_metadata")  # type: ignore[no-untyped-call]
    return written


def _rows_of(
    session: Session,
    ids: Ints,
    index: Ints,
    numbers: Sequence[int],
    nights: Mapping[int, ObservationFacts],
    schema: pyarrow.Schema,
) -> pyarrow.Table:
    """Rows of some stars, in their order, each with its curve by time."""
    own = _own_ids(session, ids.tolist())
    points = pyarrow.concat_tables([part for _, part in read_points(session, list(own), numbers)])
    star = np.array([own[one] for one in points["source_id"].to_pylist()], dtype=np.int64)
    place = {number: row for row, number in enumerate(ids.tolist())}
    row = np.array([place[one] for one in star.tolist()], dtype=np.int64)
    order = np.lexsort((points["jd_utc"].to_numpy(), row))
    points, row = points.take(order), row[order]
    offsets = pyarrow.array(np.searchsorted(row, np.arange(len(ids) + 1)), type=pyarrow.int32())
    observed = points["observation_id"].to_pylist()
    values = {name: points[name].combine_chunks() for name in CURVE_COLUMNS}
    values["filter"] = pyarrow.array([nights[one].filter for one in observed], type=NIGHT_COLUMNS["filter"])
    values["night"] = pyarrow.array([nights[one].night for one in observed], type=NIGHT_COLUMNS["night"])
    curve_type = schema.field(CURVE).type
    lists = [
        pyarrow.ListArray.from_arrays(offsets, values[curve_type.field(n).name]) for n in range(curve_type.num_fields)
    ]
    curve = pyarrow.StructArray.from_arrays(lists, fields=list(curve_type))
    stars = read_stars(session, sorted(ids.tolist()))
    stars = stars.take(np.searchsorted(stars["source_id"].to_numpy(), ids))
    count = pyarrow.array(np.diff(offsets.to_numpy()), type=pyarrow.int64())
    return pyarrow.Table.from_arrays([pyarrow.array(index), *stars.columns, count, curve], schema=schema)


def _own_ids(session: Session, ids: Sequence[int]) -> dict[int, int]:
    """The stars, and the ids of the same stars that were measured before they were recognised; each to its star."""
    found = dict(zip(ids, ids, strict=True))
    for start in range(0, len(ids), STARS_AT_ONCE):
        query = select(Source.source_id, Source.same_as).where(Source.same_as.in_(ids[start : start + STARS_AT_ONCE]))
        found |= {row.source_id: row.same_as or row.source_id for row in session.execute(query)}
    return found


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
