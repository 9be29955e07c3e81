"""Bulk rows: fluxes in, matrices out. Plain driver calls: the ORM would take ten times as long for a million rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from schema.bulk_values import bulk_values
from schema.photometry import Flux, RelativeFlux

ROWS_PER_INSERT = 20_000
SQLITE_VARIABLES = 999  # of a statement, in any build
SOURCES_LOOKED_UP = 900  # in one statement
ROWS_PER_FETCH = 100_000  # read at once: some 30 MB of Python's numbers
VALUES_PER_PASS = 1 << 23  # of one column, in memory at once: 170 MB of fluxes, errors and flags
FEW_IMAGES = 32  # of which each source's rows are looked up: its range holds all images of many nights
SPARSE = 2  # ids of a range for each that is wanted, from which on the wanted ones are named one by one

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


class RawFluxes(NamedTuple):
    """Raw fluxes of one aperture, ADU: ``[n_sources, n_images]`` each; NaN, and flag 0, where nothing is known."""

    flux: Floats
    error: Floats
    flag: NDArray[np.int32]


class RelativeFluxes(NamedTuple):
    """Relative fluxes of one calibration and aperture: ``[n_sources, n_images]`` each, NaN without a row."""

    flux: Floats
    error: Floats


def insert_rows(session: Session, table: Any, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> int:
    """Insert tuples into ``table`` in the order of ``columns``; returns how many. NaN must be given as None.

    PyMySQL joins rows into long statements by itself; with SQLite's driver one row a statement takes twice as long.
    SQLite may leave the first rows of a statement that fails, for the transaction is undone: else it would write down
    before each change what it has to restore, which takes a quarter of the time.
    """
    assert isinstance(table, Table)
    connection = session.connection()
    is_sqlite = connection.dialect.name == "sqlite"
    marks = f"({', '.join(['?' if is_sqlite else '%s'] * len(columns))})"
    names = ", ".join(table.c[name].name for name in columns)
    verb = "INSERT OR FAIL" if is_sqlite else "INSERT"
    statement = f"{verb} INTO {table.name} ({names}) VALUES {marks}"
    joined = SQLITE_VARIABLES // len(columns)
    iterator = iter(rows)
    total = 0
    while chunk := list(islice(iterator, ROWS_PER_INSERT)):
        total += len(chunk)
        if is_sqlite and (whole := len(chunk) - len(chunk) % joined):
            groups = [tuple(chain.from_iterable(chunk[at : at + joined])) for at in range(0, whole, joined)]
            connection.exec_driver_sql(statement + f", {marks}" * (joined - 1), groups)
            chunk = chunk[whole:]
        if chunk:
            connection.exec_driver_sql(statement, chunk)
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
    session: Session, pid: int, source_ids: Ids, image_ids: Ids, curves: Mapping[int, RelativeFluxes]
) -> int:
    """Relative fluxes by aperture; what is not finite makes no row.

    Rows go in in the order of the primary key: aperture by aperture each page would be found, and split, anew.
    """
    return insert_rows(
        session,
        RelativeFlux.__table__,
        ("source_id", "image_id", "aperture", "pid", "flux", "flux_error"),
        chain.from_iterable(_relative_rows(pid, source_ids, image_ids, curves)),
    )


def _relative_rows(
    pid: int, source_ids: Ids, image_ids: Ids, curves: Mapping[int, RelativeFluxes]
) -> Iterator[Iterable[tuple[Any, ...]]]:
    """Rows of some sources at a time, in the order of the primary key."""
    apertures = np.array(sorted(curves), dtype=np.int64)
    by_source, by_image = np.argsort(source_ids), np.argsort(image_ids)
    step = max(1, ROWS_PER_INSERT // max(1, image_ids.size * apertures.size))
    for start in range(0, by_source.size, step):
        few = by_source[start : start + step]
        flux, error = (
            np.stack([curves[aperture][part][np.ix_(few, by_image)] for aperture in apertures.tolist()], axis=-1)
            for part in (0, 1)
        )
        known = np.isfinite(flux)
        source, image, aperture = np.nonzero(known)
        yield zip(
            source_ids[few[source]].tolist(),
            image_ids[by_image[image]].tolist(),
            apertures[aperture].tolist(),
            repeat(pid, source.size),
            flux[known].tolist(),
            none_for_nan(error[known]),
            strict=True,
        )


def none_for_nan(values: NDArray[np.floating[Any]]) -> list[float | None]:
    """A list in which None, SQL's NULL, stands for values that are not finite."""
    listed: list[float | None] = values.tolist()
    for index in np.flatnonzero(~np.isfinite(values)).tolist():
        listed[index] = None
    return listed


def flux_matrix(session: Session, aperture: int, source_ids: Ids, image_ids: Ids) -> RawFluxes:
    """Raw fluxes of one aperture."""
    return next(raw for _, raw in flux_matrices(session, [aperture], source_ids, image_ids))


def relative_matrix(session: Session, pid: int, aperture: int, source_ids: Ids, image_ids: Ids) -> RelativeFluxes:
    """Relative fluxes of one calibration and aperture."""
    return next(curves for _, curves in relative_matrices(session, pid, [aperture], source_ids, image_ids))


def flux_matrices(
    session: Session, apertures: Sequence[int], source_ids: Ids, image_ids: Ids
) -> Iterator[tuple[int, RawFluxes]]:
    """Raw fluxes, one aperture after the other; read in one pass, if VALUES_PER_PASS allow it."""
    columns = [Flux.flux, Flux.flux_error, Flux.flag]
    for few in _passes(apertures, source_ids.size * image_ids.size):
        shape = len(few), source_ids.size, image_ids.size
        flux, error, flag = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=np.int32)
        _fill((flux, error, flag), session, columns, few, source_ids, image_ids)
        flag[np.isnan(flux)] = 0
        for number, aperture in enumerate(few):
            yield aperture, RawFluxes(flux[number], error[number], flag[number])


def relative_matrices(
    session: Session, pid: int, apertures: Sequence[int], source_ids: Ids, image_ids: Ids
) -> Iterator[tuple[int, RelativeFluxes]]:
    """Relative fluxes of one calibration, one aperture after the other; read like raw ones."""
    columns = [RelativeFlux.flux, RelativeFlux.flux_error]
    for few in _passes(apertures, source_ids.size * image_ids.size):
        shape = len(few), source_ids.size, image_ids.size
        flux, error = np.full(shape, np.nan), np.full(shape, np.nan)
        _fill((flux, error), session, columns, few, source_ids, image_ids, RelativeFlux.pid == pid)
        for number, aperture in enumerate(few):
            yield aperture, RelativeFluxes(flux[number], error[number])


def _passes(apertures: Sequence[int], values: int) -> Iterator[Sequence[int]]:
    """Apertures that are read together: all of them, unless that is too much to hold."""
    step = max(1, VALUES_PER_PASS // max(1, values))
    return (apertures[start : start + step] for start in range(0, len(apertures), step))


def _fill(
    cubes: Sequence[NDArray[Any]],
    session: Session,
    columns: Sequence[Any],
    apertures: Sequence[int],
    source_ids: Ids,
    image_ids: Ids,
    *where: Any,
) -> None:
    """Write each column's values into its cube, ``[n_apertures, n_sources, n_images]`` in the order given.

    Each query takes some of the sources, so that memory stays bounded whatever the driver keeps. It names ranges, not
    lists: ids of one detection and one graph are all but contiguous, ranges prune partitions, and the few strangers
    are dropped here. Only where few sources of many are wanted, or few images, are they named.
    """
    if not cubes[0].size:
        return
    table = columns[0].class_
    first, kinds = int(image_ids.min()), max(apertures) + 1
    # Image and aperture as one number: each column costs the driver an object a row.
    place = ((table.image_id - first) * kinds + table.aperture).label("place")
    query = select(table.source_id, place, *columns).where(
        table.aperture.between(min(apertures), max(apertures)),
        table.image_id.between(first, int(image_ids.max())),
        *where,
    )
    ordered = np.sort(source_ids)
    step = max(1, ROWS_PER_FETCH // (image_ids.size * len(apertures)))
    looked_up = image_ids.size <= FEW_IMAGES
    if looked_up:
        step = min(step, SOURCES_LOOKED_UP)
    for start in range(0, ordered.size, step):
        few = ordered[start : start + step]
        among = table.source_id.in_(few.tolist()) if looked_up else _among(table.source_id, few)
        values = bulk_values(session.connection(), query.where(among))
        image, aperture = np.divmod(values[:, 1].astype(np.int64), kinds)
        i, i_known = _positions(source_ids, values[:, 0].astype(np.int64))
        j, j_known = _positions(image_ids, image + first)
        k, k_known = _positions(np.array(apertures, dtype=np.int64), aperture)
        known = i_known & j_known & k_known
        at = np.ravel_multi_index((k[known], i[known], j[known]), cubes[0].shape)
        for cube, column in zip(cubes, values.T[2:], strict=True):
            cube.reshape(-1)[at] = column[known]


def _among(column: Any, ids: Ids) -> Any:
    """Whether a column is one of these ids, or lies in a range with few strangers; ``ids``: sorted."""
    first, last = int(ids[0]), int(ids[-1])
    return column.in_(ids.tolist()) if last - first >= SPARSE * ids.size else column.between(first, last)


def _positions(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each wanted id stands in ``ids``, and whether it is there at all."""
    order = np.argsort(ids)
    position = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), ids.size - 1)]
    return position, ids[position] == wanted
