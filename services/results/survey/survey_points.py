"""Points of many stars at once, from view ``light_curve`` to Arrow tables with the columns' meanings."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from sqlalchemy import column, select, table
from sqlalchemy.orm import Session

from schema.light_curve_rows import ApertureChoice, points
from schema.processes import Process
from schema.skies import Source, SourcePosition
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.view_columns import LIGHT_CURVE, SOURCE_CATALOG, Column
from services.steps.detect import DETECT

STARS_AT_ONCE = 200  # of one query
TYPES = {
    "i4": pyarrow.int32(),
    "i8": pyarrow.int64(),
    "f8": pyarrow.float64(),
    "bool": pyarrow.bool_(),
    "str": pyarrow.string(),
    "date": pyarrow.date32(),
}
CATALOG = table("source_catalog", *(column(c.name) for c in SOURCE_CATALOG))


def tell_nobody(done: int, of: int) -> None:
    """Of those who do not want to know how far it is."""


def arrow_field(meaning: Column, name: str = "") -> pyarrow.Field:
    """A column with its unit, description and UCD."""
    told = {
        "description": meaning.description,
        "unit": meaning.unit or "",
        "ucd": meaning.ucd,
        "system": meaning.system,
    }
    return pyarrow.field(name or meaning.name, TYPES[meaning.dtype], metadata=told)


# A night has one method of calibration: it is among the facts of a file.
POINTS = pyarrow.schema([arrow_field(one) for one in LIGHT_CURVE if one.name != "method"])
STARS = pyarrow.schema([arrow_field(one) for one in SOURCE_CATALOG])


def require_analysed(observation: ObservationFacts) -> None:
    """Make sure that the best aperture of each star is known.

    Raises:
        DataError: it is not.
    """
    if observation.calibration_pid is None or observation.analysis_pid is None:
        raise DataError(
            f"observation {observation.observation_id} ({observation.title}) has no analysed light curves yet: "
            f"`tianyu status {observation.observation_id}` shows how far it is"
        )


def stars_of(session: Session, observation: ObservationFacts) -> list[int]:
    """Ids of the sources that the observation's graph detected, in order."""
    query = (
        select(SourcePosition.source_id)
        .join(Process, Process.pid == SourcePosition.pid)
        .where(Process.graph_pid == observation.graph_pid, Process.command == DETECT.command)
    )
    return list(session.scalars(query.distinct().order_by(SourcePosition.source_id)))


def read_points(
    session: Session, source_ids: Sequence[int], observations: Sequence[int], aperture: int | None = None
) -> Iterator[tuple[int, pyarrow.Table]]:
    """Light curves of these stars on these nights, by star and time, some stars at a time, and how many are read.

    ``aperture``: its index; None is the best of each star and night.
    """
    done = 0
    chosen: ApertureChoice = "best" if aperture is None else aperture
    place = {number: row for row, number in enumerate(source_ids)}
    for few, found in points(session.connection(), source_ids, observations, aperture=chosen):
        rows = np.array([place[one] for one in found["source_id"].tolist()], dtype=np.int64)
        order = np.lexsort((found["image_id"], found["jd_utc"], rows))
        arrays = [_array(found[field.name][order], field.type) for field in POINTS]
        done += len(few)
        yield done, pyarrow.Table.from_arrays(arrays, schema=POINTS)


def _array(values: NDArray[Any], kind: pyarrow.DataType) -> pyarrow.Array:
    """A column; NaN is what the database has no number for."""
    if values.dtype.kind != "f":
        return pyarrow.array(values, type=kind)
    missing = np.isnan(values)
    return pyarrow.array(np.where(missing, 0.0, values).astype(kind.to_pandas_dtype()), type=kind, mask=missing)


def read_stars(session: Session, source_ids: Sequence[int]) -> pyarrow.Table:
    """What view ``source_catalog`` says of these stars, in order of their ids."""
    parts = []
    for start in range(0, len(source_ids), STARS_AT_ONCE):
        few = list(source_ids[start : start + STARS_AT_ONCE])
        query = select(*(CATALOG.c[name] for name in STARS.names)).where(CATALOG.c.source_id.in_(few))
        parts.append(to_arrow(session.execute(query.order_by(CATALOG.c.source_id)).all(), STARS))
    return pyarrow.concat_tables(parts) if parts else STARS.empty_table()


def placed_stars(session: Session) -> list[tuple[int, float, float]]:
    """(id, right ascension, declination) of all stars with a place on the sky, those that are another's left out."""
    query = select(Source.source_id, Source.ra_deg, Source.dec_deg).where(
        Source.ra_deg.is_not(None), Source.dec_deg.is_not(None), Source.same_as.is_(None)
    )
    return [(row.source_id, row.ra_deg or 0.0, row.dec_deg or 0.0) for row in session.execute(query)]


def to_arrow(rows: Sequence[Any], schema: pyarrow.Schema) -> pyarrow.Table:
    """Rows of a query as a table; numbers that stand for truth values become these."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = []
    for field, values in zip(schema, columns, strict=True):
        if pyarrow.types.is_boolean(field.type):
            values = tuple(None if one is None else bool(one) for one in values)
        arrays.append(pyarrow.array(values, type=field.type))
    return pyarrow.Table.from_arrays(arrays, schema=schema)
