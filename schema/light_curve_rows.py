"""Points of view `light_curve`, of many stars at once, into arrays.

The client (`client/tianyu`) has this file too: it knows no other of this package but its neighbours.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, ColumnElement, Connection, Double, Integer, MetaData, Select, Table, bindparam, select

from .bulk_values import bulk_values

WHOLE = ("observation_id", "source_id", "image_id", "aperture", "flag")  # never NULL, as is `usable`
TRUTHS = ("is_reference", "image_good", "aperture_best", "usable")
REALS = (
    *("jd_utc", "bjd_tdb", "flux_raw", "flux_raw_error", "flux_relative", "flux_relative_error", "reference_group"),
    *("flux_detrended", "flux_detrended_error", "mag", "mag_error", "bjd_tdb_source"),
)
NUMBERS = (*WHOLE, *TRUTHS, *REALS)  # all but `method`, a text, which a calibration has one of
VIEW = Table(
    "light_curve",
    MetaData(),
    *(Column(name, Integer, nullable=False) for name in (*WHOLE, "usable")),
    *(Column(name, Integer) for name in TRUTHS if name != "usable"),
    *(Column(name, Double) for name in REALS),
)
_statistics = Table(
    "light_curve_statistics",
    MetaData(),
    *(Column(name, Integer, nullable=False) for name in ("source_id", "aperture", "best_aperture")),
)
_BEST = (
    select(_statistics.c.source_id, _statistics.c.aperture)
    .where(_statistics.c.best_aperture == 1, _statistics.c.source_id.in_(bindparam("sources", expanding=True)))
    .distinct()
    .order_by(_statistics.c.source_id, _statistics.c.aperture)
)
SOURCES_AT_FIRST, SOURCES_MOST = 20, 800  # named in a statement
OBSERVATIONS_MOST = 100  # named in a statement; of more, rows of others are dropped here
ROWS_AT_A_TIME = 100_000  # about: 20 MB

Points = Mapping[str, NDArray[Any]]  # columns of one length; NULL is NaN, and False where it is no number
ApertureChoice = int | Literal["best", "all"]


def points(
    connection: Connection,
    sources: Sequence[int],
    observations: Sequence[int] | None = None,
    *,
    aperture: ApertureChoice = "all",
    usable_only: bool = False,
) -> Iterator[tuple[Sequence[int], Points]]:
    """Points of some stars at a time, in the order of ``sources``: their ids, and all their points in any order.

    Args:
        connection: to the database.
        sources: ids, each once.
        observations: ids; None: all.
        aperture: ``best`` (as `analyze` found it; there are no points where it has not run), ``all``, or an index.
        usable_only: those alone that may be used.
    """
    wanted = None if observations is None else np.unique(np.array(observations, dtype=np.int64))
    is_named = wanted is not None and wanted.size <= OBSERVATIONS_MOST
    query = _query(aperture != "all", usable_only, is_named)
    named: dict[str, Any] = {"observations": wanted.tolist()} if wanted is not None and is_named else {}
    start, step = 0, SOURCES_AT_FIRST
    while start < len(sources):
        few = [int(one) for one in sources[start : start + step]]
        asked: list[dict[str, Any]] | None = None
        while asked != (now := _apertures(connection, few, aperture)):  # again, if one was analysed meanwhile
            asked = now
            parts = [columns_of(bulk_values(connection, query, named | which)) for which in asked]
        found = parts[0] if len(parts) == 1 else together(parts)
        rows = found["source_id"].size
        if wanted is not None and not is_named:
            found = _only(found, np.isin(found["observation_id"], wanted))
        if aperture == "best":
            found = _only(found, found["aperture_best"])
        yield few, found
        start += len(few)
        step = max(1, min(SOURCES_MOST, len(few) * ROWS_AT_A_TIME // max(1, rows)))


@cache
def _query(one_aperture: bool, usable_only: bool, is_named: bool) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [VIEW.c.source_id.in_(bindparam("sources", expanding=True))]
    if one_aperture:
        conditions.append(VIEW.c.aperture == bindparam("aperture"))
    if usable_only:
        conditions.append(VIEW.c.usable == 1)
    if is_named:
        conditions.append(VIEW.c.observation_id.in_(bindparam("observations", expanding=True)))
    return select(*(VIEW.c[name] for name in NUMBERS)).where(*conditions)


def _apertures(connection: Connection, sources: list[int], wanted: ApertureChoice) -> list[dict[str, Any]]:
    """Which sources are asked for in which aperture: a query's parameters.

    A source's best one, of any night, is looked up first: told by the view alone, a database looks at the rows of all
    apertures for the few that are wanted. Where another aperture is best in some nights, points of those come too, to
    be dropped: asked for `aperture_best`, MySQL looks at the fluxes of all stars that have a best aperture.
    """
    if wanted == "all":
        return [{"sources": sources}]
    if wanted != "best":
        return [{"sources": sources, "aperture": int(wanted)}]
    best = defaultdict(list)
    for source, aperture in connection.execute(_BEST, {"sources": sources}):
        best[aperture].append(source)
    return [{"sources": some, "aperture": aperture} for aperture, some in best.items()]


def _only(points: Points, kept: NDArray[np.bool_]) -> Points:
    return points if kept.all() else {name: values[kept] for name, values in points.items()}


def together(parts: Sequence[Points]) -> Points:
    """The points of several parts as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in NUMBERS} if parts else columns_of(_NOTHING)


def columns_of(values: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Points of ``float64[n, len(NUMBERS)]``."""
    columns: dict[str, NDArray[Any]] = {}
    for name, column in zip(NUMBERS, values.T, strict=True):
        if name in WHOLE:
            columns[name] = column.astype(np.int64)
        else:
            # An image that nobody judged is not good; a source without a part in the calibration is no reference.
            columns[name] = np.nan_to_num(column) != 0 if name in TRUTHS else np.ascontiguousarray(column)
    return columns


_NOTHING = np.empty((0, len(NUMBERS)))
