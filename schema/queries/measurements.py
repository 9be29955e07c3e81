"""Bulk rows: fluxes in, matrices out. Plain driver calls: the ORM would take ten times as long for a million rows."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, Table, select
from sqlalchemy.orm import Session

from schema.photometry import Flux, RelativeFlux

ROWS_PER_INSERT = 20_000
ROWS_PER_FETCH = 100_000  # read at once: some 30 MB of Python's numbers

Ids = NDArray[np.int64]


def insert_rows(session: Session, table: Any, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> int:
    """Insert tuples into ``table`` in the order of ``columns``; returns how many. NaN must be given as None."""
    assert isinstance(table, Table)
    connection = session.connection()
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    names = ", ".join(table.c[name].name for name in columns)
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join([mark] * len(columns))})"  # noqa: S608
    iterator = iter(rows)
    total = 0
    while chunk := list(islice(iterator, ROWS_PER_INSERT)):
        connection.exec_driver_sql(statement, chunk)
        total += len(chunk)
    return total


def insert_fluxes(
    session: Session,
    image_id: int,
    source_ids: NDArray[np.int64],
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    flag: NDArray[np.int32],
) -> int:
    """Fluxes of one image: ``flux, error, flag: [n_sources, n_apertures]``; what is not finite is NULL."""
    sources, apertures = flux.shape
    rows = zip(
        np.repeat(source_ids, apertures).tolist(),
        [image_id] * flux.size,
        list(range(apertures)) * sources,
        none_for_nan(flux.ravel()),
        none_for_nan(error.ravel()),
        flag.ravel().tolist(),
        strict=True,
    )
    return insert_rows(
        session, Flux.__table__, ("source_id", "image_id", "aperture", "flux", "flux_error", "flag"), rows
    )


def insert_relative_fluxes(
    session: Session,
    pid: int,
    aperture: int,
    source_ids: NDArray[np.int64],
    image_ids: NDArray[np.int64],
    flux: NDArray[np.floating[Any]],
    error: NDArray[np.floating[Any]],
) -> int:
    """Relative fluxes of one aperture: ``flux, error: [n_sources, n_images]``; what is not finite makes no row."""
    source, image = np.nonzero(np.isfinite(flux))
    rows = zip(
        source_ids[source].tolist(),
        image_ids[image].tolist(),
        [aperture] * source.size,
        [pid] * source.size,
        flux[source, image].tolist(),
        none_for_nan(error[source, image]),
        strict=True,
    )
    return insert_rows(
        session, RelativeFlux.__table__, ("source_id", "image_id", "aperture", "pid", "flux", "flux_error"), rows
    )


def none_for_nan(values: NDArray[np.floating[Any]]) -> list[float | None]:
    """A list in which None, SQL's NULL, stands for values that are not finite."""
    listed: list[float | None] = values.tolist()
    for index in np.flatnonzero(~np.isfinite(values)).tolist():
        listed[index] = None
    return listed


def flux_matrix(
    session: Session, aperture: int, source_ids: Ids, image_ids: Ids
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """Raw fluxes of one aperture: ``flux, error, flag: [n_sources, n_images]``, NaN (flag 0) where nothing is known."""
    columns = [Flux.flux, Flux.flux_error, Flux.flag]
    flux, error, flag = _matrices(session, columns, aperture, source_ids, image_ids)
    flag[np.isnan(flux)] = 0
    return flux, error, flag.astype(np.int32)


def relative_matrix(
    session: Session, pid: int, aperture: int, source_ids: Ids, image_ids: Ids
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Relative fluxes of one calibration and aperture: ``flux, error: [n_sources, n_images]``, NaN without a row."""
    columns = [RelativeFlux.flux, RelativeFlux.flux_error]
    flux, error = _matrices(session, columns, aperture, source_ids, image_ids, RelativeFlux.pid == pid)
    return flux, error


def _matrices(
    session: Session, columns: list[Any], aperture: int, source_ids: Ids, image_ids: Ids, *where: Any
) -> list[NDArray[np.float64]]:
    """A matrix by source and image for each column, in the order of the ids.

    Each query takes a range of sources, so that memory stays bounded whatever the driver keeps. It names ranges, not
    lists: ids of one detection and one graph are all but contiguous, ranges prune partitions, and the few strangers
    are dropped here.
    """
    matrices = [np.full((source_ids.size, image_ids.size), np.nan) for _ in columns]
    if not source_ids.size or not image_ids.size:
        return matrices
    table = columns[0].class_
    query = select(table.source_id, table.image_id, *columns).where(
        table.aperture == aperture,
        table.image_id.between(int(image_ids.min()), int(image_ids.max())),
        *where,
    )
    ordered = np.sort(source_ids)
    step = max(1, ROWS_PER_FETCH // image_ids.size)
    for start in range(0, ordered.size, step):
        few = ordered[start : start + step]
        values = _values(session, query.where(table.source_id.between(int(few[0]), int(few[-1]))))
        if not values.size:
            continue
        i, i_known = _positions(source_ids, values[:, 0].astype(np.int64))
        j, j_known = _positions(image_ids, values[:, 1].astype(np.int64))
        known = i_known & j_known
        for matrix, column in zip(matrices, values[known, 2:].T, strict=True):
            matrix[i[known], j[known]] = column
    return matrices


def _values(session: Session, query: Select[Any]) -> NDArray[np.float64]:
    """Rows of a query as ``float64[rows, columns]``; NULL is NaN, and ids are exact up to 2^53.

    They come straight from the driver's cursor: SQLAlchemy's row objects would take three times as long.
    """
    result = session.connection().execute(query)
    cursor = result.cursor
    assert cursor is not None
    values = np.array(cursor.fetchall(), dtype=np.float64)
    result.close()
    return values


def _positions(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each wanted id stands in ``ids``, and whether it is there at all."""
    order = np.argsort(ids)
    position = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), ids.size - 1)]
    return position, ids[position] == wanted
