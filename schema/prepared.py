"""Statements that run for every process: written in SQLAlchemy's language, compiled once for each kind of database.

What SQLAlchemy does for each execution of a statement costs as much as the driver's own work, and for statements built
anew each time five times as much.
"""

from typing import Any

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.sql.elements import ClauseElement


class Prepared:
    """A statement whose parameters are plain numbers and texts, given by the names of its ``bindparam``."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def change(self, connection: Connection, **values: Any) -> int:
        """Run it; how many rows it found to change."""
        return self._run(connection, values).rowcount

    def first(self, connection: Connection, **values: Any) -> tuple[Any, ...] | None:
        """Run it; the first row, as the driver gives it."""
        row = self._run(connection, values).first()
        return None if row is None else tuple(row)

    def _run(self, connection: Connection, values: dict[str, Any]) -> CursorResult[Any]:
        name = connection.dialect.name
        if name not in self._compiled:
            self._compiled[name] = _Compiled(self._statement, connection)
        return self._compiled[name].run(connection, values)


class _Compiled:
    def __init__(self, statement: Executable, connection: Connection) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=connection.dialect)
        self._sql = str(compiled)
        self._constants = dict(compiled.params)
        self._order = tuple(getattr(compiled, "positiontup", None) or ())  # empty: the driver wants names

    def run(self, connection: Connection, values: dict[str, Any]) -> CursorResult[Any]:
        given = self._constants | values
        parameters = tuple(given[name] for name in self._order) if self._order else given
        return connection.exec_driver_sql(self._sql, parameters)
