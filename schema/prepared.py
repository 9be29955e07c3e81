"""Statements that run for every process: written in SQLAlchemy's language, compiled once for each kind of database.

What SQLAlchemy does for each execution of a statement costs as much as the driver's own work, and for statements built
anew each time five times as much. Several of them are one round trip to a server.
"""

import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

Answer = TypeVar("Answer")
Opened = Session | Connection

SEPARATOR = "; "
COMMIT = "COMMIT"
PLACE = re.compile(r"%\((\w+)\)s|__\[POSTCOMPILE_(\w+)\]")  # where SQLAlchemy leaves room for a value, or for several


class Found(NamedTuple):
    """What a statement did: rows that it found to change, and rows that it gave, as the driver gives them."""

    changed: int
    rows: Sequence[tuple[Any, ...]]


class Prepared:
    """A statement whose parameters are plain numbers and texts, given by the names of its ``bindparam``.

    A parameter that is ``expanding`` is a list that is not empty.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, **values: Any) -> "Call":
        """The statement with its values."""
        return Call(self, values)

    def written(self, connection: Connection, values: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """Its text for this kind of database, and what belongs to the marks in it."""
        name = connection.dialect.name
        if name not in self._compiled:
            self._compiled[name] = _Compiled(self._statement, connection)
        return self._compiled[name].written(values)


class Call(NamedTuple):
    """A statement with its values."""

    statement: Prepared
    values: dict[str, Any]


class Batch(NamedTuple, Generic[Answer]):
    """Statements that run one after the other, and how what they did is read; nothing happens before it is run."""

    calls: Sequence[Call]
    read: Callable[[list[Found]], Answer]

    def run(self, opened: Opened) -> Answer:
        """Run it inside a transaction."""
        return self.read(_together(opened, self.calls))

    def commit(self, opened: Opened) -> Answer:
        """Run it as the last of a transaction, whose COMMIT comes with it. The caller commits all the same."""
        return self.read(_together(opened, self.calls, COMMIT))


def run(opened: Opened, *calls: Call) -> list[Found]:
    """Run statements inside a transaction; what each of them did."""
    return _together(opened, calls)


def _together(opened: Opened, calls: Sequence[Call], *end: str) -> list[Found]:
    """Run statements one after the other, on a server in one round trip."""
    if not calls:
        return []
    connection = opened.connection() if isinstance(opened, Session) else opened
    written = [call.statement.written(connection, call.values) for call in calls]
    if connection.dialect.name == "sqlite":
        return _on_sqlite(connection, written)
    texts = [text for text, _ in written]
    values = tuple(value for _, some in written for value in some)
    with connection.exec_driver_sql(SEPARATOR.join((*texts, *end)), values) as result:
        cursor: Any = result.context.cursor  # a `schema.driver.JoinedCursor`
    return [Found(*one) for one in cursor.results[: len(calls)]]


def _on_sqlite(connection: Connection, written: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Found]:
    """Ask SQLite's driver itself: SQLAlchemy's results take several times as long as these statements."""
    if not connection.in_transaction():
        connection.begin()  # as SQLAlchemy's own statements do; the caller commits
    driver: Any = connection.connection.driver_connection
    found = []
    for statement, values in written:
        try:
            cursor = driver.execute(statement, values)
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            raise DBAPIError.instance(statement, values, error, sqlite3.Error, dialect=connection.dialect) from error
        found.append(Found(cursor.rowcount, rows))
    return found


class _Compiled:
    def __init__(self, statement: Executable, connection: Connection) -> None:
        assert isinstance(statement, ClauseElement)
        named = type(connection.dialect)(paramstyle="pyformat")  # type: ignore[call-arg]
        compiled = statement.compile(dialect=named)
        assert isinstance(compiled, SQLCompiler)
        # What must be given is no constant: it would be NULL where it was forgotten.
        constants = {name for bind, name in compiled.bind_names.items() if not bind.required}
        self._constants = {name: value for name, value in compiled.params.items() if name in constants}
        # Text, and between each two pieces of it the name of a value or of a list of values.
        self._pieces, names = [str(piece) for piece in PLACE.split(str(compiled))[::3]], PLACE.findall(str(compiled))
        self._order = tuple(one or many for one, many in names)
        self._lists = frozenset(many for _, many in names if many)
        self._mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
        self._text = self._mark.join(self._pieces)

    def written(self, values: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        given = self._constants | values
        if not self._lists:
            return self._text, tuple(given[name] for name in self._order)
        text = self._pieces[0]
        parameters: list[Any] = []
        for name, piece in zip(self._order, self._pieces[1:], strict=True):
            several = given[name] if name in self._lists else (given[name],)
            text += ", ".join([self._mark] * len(several)) + piece
            parameters += several
        return text, tuple(parameters)
