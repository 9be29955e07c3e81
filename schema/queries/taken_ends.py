"""Processes that begin with the ends of others, which the server copies: what is long of them it has already."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from sqlalchemy.orm import Session

ROWS_PER_STATEMENT = 400  # of two marks each: SQLite takes 999 in any build
_ENDS = ("status", "attempt", "finished_at", "error_class", "error", "choices_id")


class Named(Protocol):
    """A process that is to be inserted."""

    @property
    def pid(self) -> int: ...
    @property
    def parameters(self) -> str: ...


def insert_taken(
    session: Session,
    columns: Sequence[str],
    begun: Iterable[tuple[Named, tuple[Any, ...]]],
    origins: Mapping[int, int],
    keys: Mapping[int, str | None],
) -> None:
    """Insert processes whose results are those of others (``origins``: by PID), with the ends of these.

    ``begun``: each with its values of ``columns``; most share them. ``keys``: by PID, where it is not the origin's.
    """
    alike: defaultdict[tuple[Any, ...], list[tuple[int, int, str, str | None]]] = defaultdict(list)
    for process, values in begun:
        pid = process.pid
        own_key = pid in keys
        alike[own_key, *values].append((pid, origins[pid], process.parameters, keys[pid] if own_key else None))
    for (own_key, *shared), rows in alike.items():
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            _insert(session, columns, shared, rows[start : start + ROWS_PER_STATEMENT], own_key=own_key)


def _insert(
    session: Session,
    columns: Sequence[str],
    shared: Sequence[Any],
    rows: Sequence[tuple[int, int, str, str | None]],
    *,
    own_key: bool,
) -> None:
    connection = session.connection()
    is_sqlite = connection.dialect.name == "sqlite"
    mark = "?" if is_sqlite else "%s"
    is_mysql = connection.dialect.name == "mysql" and not connection.dialect.is_mariadb  # type: ignore[attr-defined]
    row, marks = ("ROW" if is_mysql else ""), (f"{mark}, {mark}" if own_key else mark)
    names = ", ".join(("pid", "origin_pid", "parameters", "result_key", *_ENDS, *columns))
    ends = ", ".join(f"old.{name}" for name in _ENDS)
    connection.exec_driver_sql(
        f"INSERT INTO process ({names}) "  # noqa: S608 - names of columns, marks and integers
        f"WITH taken (pid, origin_pid, parameters{', result_key' * own_key}) AS "
        f"(VALUES {', '.join(f'{row}({pid:d}, {origin:d}, {marks})' for pid, origin, *_ in rows)}) "
        f"SELECT taken.pid, old.pid, taken.parameters, {'taken' if own_key else 'old'}.result_key, {ends}, "
        f"{', '.join([mark] * len(columns))} "
        "FROM taken JOIN process AS old ON old.pid = taken.origin_pid",
        (*chain.from_iterable(one[2 : 4 if own_key else 3] for one in rows), *shared),
    )
