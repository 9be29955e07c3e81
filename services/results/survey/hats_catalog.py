"""All stars with their light curves as a HATS catalogue, which LSDB opens: a row is a star, with its curve nested.

Column `light_curve` is a structure of lists of equal length.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.sky.healpix import cells
from schema.photometry import LightCurveStatistics
from schema.skies import Source
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
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
from services.results.survey.survey_points import (
    POINTS,
    STARS,
    STARS_AT_ONCE,
    placed_stars,
    read_points,
    read_stars,
    tell_nobody,
)

CURVE = "light_curve"
# Of each point; what is the same for all points of a star is beside the curve.
CURVE_COLUMNS = (
    *("observation_id", "image_id", "jd_utc", "bjd_tdb", "bjd_tdb_source", "aperture", "flux_raw", "flux_raw_error"),
    *("flux_relative", "flux_relative_error", "flux_detrended", "flux_detrended_error", "mag", "mag_error"),
    *("flag", "usable"),
)


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
    placed, counted = placed_stars(session), _points_by_star(session, observations)
    stars = np.array([star for star in placed if star[0] in counted], dtype=np.float64).reshape(-1, 3)
    if not len(stars):
        raise DataError("no star with light curves has a place on the sky: are the fields solved (`tianyu status`)?")
    ids, index = stars[:, 0].astype(np.int64), cells(stars[:, 1:], SPATIAL_ORDER)
    order = in_order(index, ids)
    ids, index = ids[order], index[order]
    weight = np.array([counted[one] for one in ids.tolist()], dtype=np.int64)
    nights, schema = {one.observation_id: one for one in observations}, _schema()

    def rows(chosen: slice) -> pyarrow.Table:
        return _rows_of(session, ids[chosen], index[chosen], nights, schema)

    return len(ids), write_layout(folder, Nested(index, weight, schema, rows), told), len(counted) - len(ids)


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


def _schema() -> pyarrow.Schema:
    curve = nested_field(CURVE, {name: POINTS.field(name).type for name in CURVE_COLUMNS})
    return pyarrow.schema([index_field(), *STARS, points_field(), curve])


def _rows_of(
    session: Session, ids: Ints, index: Ints, nights: Mapping[int, ObservationFacts], schema: pyarrow.Schema
) -> pyarrow.Table:
    """Rows of some stars, in their order, each with its curve by time."""
    own = _own_ids(session, ids.tolist())
    points = pyarrow.concat_tables([part for _, part in read_points(session, list(own), list(nights))])
    star = np.array([own[one] for one in points["source_id"].to_pylist()], dtype=np.int64)
    place = {number: row for row, number in enumerate(ids.tolist())}
    row = np.array([place[one] for one in star.tolist()], dtype=np.int64)
    order = np.lexsort((points["jd_utc"].to_numpy(), row))
    points, row = points.take(order), row[order]
    offsets = np.searchsorted(row, np.arange(len(ids) + 1))
    values = {name: points[name].combine_chunks() for name in CURVE_COLUMNS}
    values |= night_values([nights[one] for one in points["observation_id"].to_pylist()])
    stars = read_stars(session, sorted(ids.tolist()))
    stars = stars.take(np.searchsorted(stars["source_id"].to_numpy(), ids))
    count = pyarrow.array(np.diff(offsets), type=pyarrow.int64())
    curve = nested_column(schema, CURVE, offsets, values)
    return pyarrow.Table.from_arrays([pyarrow.array(index), *stars.columns, count, curve], schema=schema)


def _own_ids(session: Session, ids: Sequence[int]) -> dict[int, int]:
    """The stars, and the ids of the same stars that were measured before they were recognised; each to its star."""
    found = dict(zip(ids, ids, strict=True))
    for start in range(0, len(ids), STARS_AT_ONCE):
        query = select(Source.source_id, Source.same_as).where(Source.same_as.in_(ids[start : start + STARS_AT_ONCE]))
        found |= {row.source_id: row.same_as or row.source_id for row in session.execute(query)}
    return found
