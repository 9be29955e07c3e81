"""Nights as a data set of Parquet files: one file an observation, in folders of its night and filter.

The folders are named as Hive does, ``night=2026-11-20/filter=R``, which DuckDB, polars, Arrow and Spark read as
columns. A file is put in its place when it is whole, and nothing else in the folder is touched: nights can be added by
several programs at once, and whoever reads meanwhile sees a night as it was or as it is now.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pyarrow
from pyarrow import parquet
from sqlalchemy.orm import Session

from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.portable import creator
from services.results.lightcurves.provenance import provenance, published_by
from services.results.lightcurves.reading import methods
from services.results.survey.survey_points import (
    POINTS,
    STARS,
    read_points,
    read_stars,
    require_analysed,
    stars_of,
    tell_nobody,
)
from services.whole_files import make_folder, whole_file

NO_NAME = "__HIVE_DEFAULT_PARTITION__"  # of a value that is none
OF_STARS = ("ra", "dec", "gaia_source_id", "gaia_g_mag", "gaia_bp_mag", "gaia_rp_mag")  # beside each point
ROWS_OF_A_GROUP = 250_000  # by whose smallest and largest source_id readers skip what they need not read


def night_file(folder: Path, observation: ObservationFacts) -> Path:
    """Where an observation's file is."""
    band = quote(observation.filter, safe="") or NO_NAME
    return folder / f"night={observation.night.isoformat()}" / f"filter={band}" / f"{_name(observation.observation_id)}"


def write_night(
    session: Session,
    observation: ObservationFacts,
    folder: Path,
    aperture: int | None = None,
    told: Callable[[int, int], None] = tell_nobody,
) -> tuple[Path, int, int]:
    """Write the observation's file in place of its earlier one; the file, its points, and stars without any.

    ``aperture``: its index; None is the best of each star. ``told`` is called with stars read, and of how many.

    Raises:
        DataError: its light curves are not analysed yet, or there is no point.
        ConfigurationError: the file cannot be written.
    """
    if aperture is None:
        require_analysed(observation)
    path = night_file(folder, observation)
    source_ids = stars_of(session, observation)
    stars = {name: dict(zip(*_columns(read_stars(session, source_ids), name), strict=True)) for name in OF_STARS}
    facts = {
        "observation": observation.observation_id,
        "target": observation.target,
        "instrument": observation.instrument,
        "calibration_method": methods(session, [observation]).get(observation.observation_id, ""),
        **provenance(session, observation),
        **published_by(session, observation.calibration_pid),
        "creator": creator(),
    }
    beside = [STARS.field(name) for name in OF_STARS]
    schema = pyarrow.schema([*POINTS, *beside], metadata={name: str(value) for name, value in facts.items()})
    make_folder(path.parent)
    points, measured = 0, 0
    with whole_file(path) as temporary:
        with parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:  # type: ignore[no-untyped-call]
            waiting: list[pyarrow.Table] = []
            for done, part in read_points(session, source_ids, [observation.observation_id], aperture):
                ids = part["source_id"].to_pylist()
                measured += len(set(ids))
                further = [pyarrow.array([stars[one.name][number] for number in ids], type=one.type) for one in beside]
                waiting.append(pyarrow.Table.from_arrays([*part.columns, *further], schema=schema))
                points += len(part)
                if sum(map(len, waiting)) >= ROWS_OF_A_GROUP:
                    writer.write_table(pyarrow.concat_tables(waiting), row_group_size=ROWS_OF_A_GROUP)
                    waiting = []
                told(done, len(source_ids))
            if waiting:
                writer.write_table(pyarrow.concat_tables(waiting), row_group_size=ROWS_OF_A_GROUP)
        if not points:
            raise DataError(f"observation {observation.observation_id} ({observation.title}) has no points to write")
    forget_elsewhere(folder, path)
    return path, points, len(source_ids) - measured


def _name(observation_id: int) -> str:
    return f"observation-{observation_id}.parquet"


def _columns(stars: pyarrow.Table, name: str) -> tuple[list[int], list[object]]:
    return stars["source_id"].to_pylist(), stars[name].to_pylist()


def forget_elsewhere(folder: Path, path: Path) -> None:
    """Remove the observation's file of another night or filter: its headers were corrected since."""
    for other in folder.glob(f"night=*/filter=*/{path.name}"):
        if other != path:
            other.unlink(missing_ok=True)
