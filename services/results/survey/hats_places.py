"""Places that were asked for with their fluxes and limits as a HATS catalogue: a row is a place, its points nested.

It stands apart from the catalogue of stars, as surveys keep theirs of forced photometry: a place is no source.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from pipeline.sky.healpix import cells
from schema.forced import ForcedFlux, ForcedPlace
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lists.forced_curves import NOBODY_ASKED, placed, points_at
from services.results.survey.hats_layout import (
    SPATIAL_ORDER,
    Ints,
    Nested,
    in_order,
    index_field,
    nested_column,
    nested_field,
    night_values,
    points_field,
    require_own,
    write_layout,
)
from services.results.survey.survey_points import arrow_field, tell_nobody
from services.results.view_columns import FORCED_LIGHT_CURVE

CURVE = "forced_light_curve"
OF_PLACE = ("target", "ra", "dec")  # of the last night: a star that moves has others in other nights
NESTED = tuple(one for one in FORCED_LIGHT_CURVE if one.name != "target")
Named = Mapping[str, Sequence[ForcedPlace]]


def write_places(
    session: Session,
    observations: Sequence[ObservationFacts],
    folder: Path,
    told: Callable[[int, int], None] = tell_nobody,
) -> tuple[int, int]:
    """Write the catalogue in place of an earlier one when it is whole; places and points.

    Each place has the points of the smallest circle on each of these nights. ``told``: places written, of how many.

    Raises:
        DataError: at no place flux was measured.
        ConfigurationError: something else is in the folder, or it cannot be written.
    """
    require_own(folder)
    places = placed(session, observations)
    there, counted = _by_name(places), _points_by_place(session, {one.pid for one in places})
    weights = {name: sum(counted.get((one.pid, one.place), 0) for one in there[name]) for name in there}
    names = [name for name in there if weights[name]]
    if not names:
        raise DataError(NOBODY_ASKED)
    last = [max(there[name], key=lambda one: one.observation_id) for name in names]
    index = cells(np.array([(one.ra_deg, one.dec_deg) for one in last]), SPATIAL_ORDER)
    order = in_order(index)
    names, last, index = [names[n] for n in order], [last[n] for n in order], index[order]
    weight = np.array([weights[name] for name in names], dtype=np.int64)
    nights, schema = {one.observation_id: one for one in observations}, _schema()

    def rows(chosen: slice) -> pyarrow.Table:
        few = {name: there[name] for name in names[chosen]}
        return _rows_of(session, few, last[chosen], index[chosen], nights, schema)

    return len(names), write_layout(folder, Nested(index, weight, schema, rows), told)


def _by_name(places: Sequence[ForcedPlace]) -> dict[str, list[ForcedPlace]]:
    found: dict[str, list[ForcedPlace]] = {}
    for one in places:
        found.setdefault(one.name, []).append(one)
    return found


def _points_by_place(session: Session, pids: Collection[int]) -> dict[tuple[int, int], int]:
    """Frames on which each place of some processes was measured, by the process and number that the place has."""
    key = (ForcedFlux.placed_pid, ForcedFlux.place)
    query = select(*key, func.count(distinct(ForcedFlux.image_id))).where(ForcedFlux.placed_pid.in_(pids))
    return {(pid, place): number for pid, place, number in session.execute(query.group_by(*key))}


def _schema() -> pyarrow.Schema:
    fields = {one.name: arrow_field(one) for one in FORCED_LIGHT_CURVE}
    curve = nested_field(CURVE, {one.name: fields[one.name].type for one in NESTED})
    return pyarrow.schema([index_field(), *(fields[name] for name in OF_PLACE), points_field(), curve])


def _rows_of(
    session: Session,
    places: Named,
    last: Sequence[ForcedPlace],
    index: Ints,
    nights: Mapping[int, ObservationFacts],
    schema: pyarrow.Schema,
) -> pyarrow.Table:
    """Rows of some places, in their order, each with its points by time."""
    found = points_at(session, [one for of_name in places.values() for one in of_name])
    curves = [[row for one in of_name for row in found[one.observation_id, one.name]] for of_name in places.values()]
    points = [row for curve in curves for row in sorted(curve, key=lambda one: (one.jd_utc, one.image_id))]
    offsets = np.cumsum([0, *map(len, curves)])
    kinds = schema.field(CURVE).type
    values = {one.name: _array(points, one.name, kinds.field(one.name).type.value_type) for one in NESTED}
    values |= night_values([nights[row.observation_id] for row in points])
    of_place = ([*places], [one.ra_deg for one in last], [one.dec_deg for one in last])
    count = pyarrow.array(np.diff(offsets), type=pyarrow.int64())
    return pyarrow.Table.from_arrays(
        [pyarrow.array(index), *map(pyarrow.array, of_place), count, nested_column(schema, CURVE, offsets, values)],
        schema=schema,
    )


def _array(rows: Sequence[Any], name: str, kind: pyarrow.DataType) -> pyarrow.Array:
    values = [getattr(row, name) for row in rows]
    if pyarrow.types.is_boolean(kind):
        values = [None if one is None else bool(one) for one in values]
    return pyarrow.array(values, type=kind)
