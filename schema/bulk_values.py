"""Queries that give numbers alone, straight from the driver into an array.

SQLAlchemy's row objects would take three times as long, and the driver's own rows of a server twenty times. The client
(`client/tianyu`) has this file too: it knows no other of this package but its neighbour.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, case, func, literal

QUERIES_KEPT = 16
Floats = NDArray[np.float64]


def bulk_values(connection: Connection, query: Select[Any], parameters: Mapping[str, Any] | None = None) -> Floats:
    """Rows of a query as ``float64[rows, columns]``; NULL is NaN, and ids are exact up to 2^53.

    ``parameters``: values of those that it has. Who asks the same again and again keeps the query: to make one takes
    longer than to read a hundred rows.

    A column that may be NULL says so (``nullable``). Rows that nobody keeps are not looked at by the garbage collector.
    """
    if connection.dialect.name != "sqlite":
        return _binary_values(connection, query, parameters)
    result = connection.execute(query, parameters)
    cursor = result.cursor
    assert cursor is not None
    rows: Iterator[tuple[Any, ...]] = iter(cursor)  # type: ignore[call-overload]
    values = np.fromiter(chain.from_iterable(rows), dtype=np.float64)
    result.close()
    return values.reshape(-1, len(query.selected_columns))


def _binary_values(connection: Connection, query: Select[Any], parameters: Mapping[str, Any] | None) -> Floats:
    """The same from a server, in its binary form: which of the numbers are NULL, one number more tells."""
    from .binary_rows import ColumnConnection  # with a driver that not every client has

    driver = connection.connection.driver_connection
    assert isinstance(driver, ColumnConnection)
    without_nulls, unknown = _without_nulls(query)
    with driver.giving_columns():
        result = connection.execute(without_nulls, parameters)
    cursor: Any = result.cursor
    *columns, nulls_found = cursor.columns
    result.close()
    found = np.stack([column.astype(np.float64) for column in columns], axis=1)
    for bit, number in enumerate(unknown):
        found[nulls_found & (1 << bit) != 0, number] = np.nan
    return found


@lru_cache(maxsize=QUERIES_KEPT)
def _without_nulls(query: Select[Any]) -> tuple[Select[Any], list[int]]:
    """A query with 0 in the place of each NULL and a number of bits behind, one for each column that may be NULL."""
    wanted = list(query.selected_columns)
    unknown = [number for number, column in enumerate(wanted) if getattr(column, "nullable", False)]
    nulls = sum((case((wanted[number].is_(None), 1 << bit), else_=0) for bit, number in enumerate(unknown)), literal(0))
    given = [func.coalesce(column, 0) if number in unknown else column for number, column in enumerate(wanted)]
    return query.with_only_columns(*given, nulls.label("nulls")), unknown
