"""Ask the database, within limits of time and rows, by connections that cannot write."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import CompoundSelect, Connection, Engine, Select, text
from sqlalchemy.exc import DBAPIError

from schema import database
from schema.driver import JoiningConnection
from schema.read_only import statement_limit
from services.log import get_logger
from services.vo.adql.typed import Compiled
from services.vo.answer_columns import Chunk
from services.vo.fields import Field
from services.vo.vo_errors import RefusedError, TooLongError

CHUNK = 1000  # rows
STEPS = 20_000  # of SQLite's machine between two looks at the clock
SPARE_S = 30.0  # after which a server that does not end a question in time is taken for lost
TIMED_OUT = (3024, 1969, 1317)  # of MySQL, of MariaDB, and of either when it is told to stop
TOO_MUCH = (1104, 1226)  # rows that it would look at, or connections of the login
# What the question itself is at fault for: numbers out of range, and what a server has no plan for.
TOO_LARGE = ("too large", "too many", "at most", "stack overflow")  # of SQLite, for a question that is
OF_THE_QUESTION = (1116, 1117, 1235, 1242, 1264, 1365, 1390, 1436, 1690, 3020, 3141)

Query = Select[Any] | CompoundSelect[Any]
log = get_logger("vo")


class Stop:
    """Tells a running question to end: from another thread, or when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._told = threading.Event()
        self._lock = threading.Lock()
        self._end: Callable[[], None] | None = None

    def tell(self) -> None:
        """End it."""
        self._told.set()
        with self._lock:
            if self._end is not None:
                self._end()

    @contextmanager
    def ended_by(self, end: Callable[[], None]) -> Iterator[None]:
        """Within the block, who tells calls ``end``: a server does not look at the clock of this program."""
        with self._lock:
            self._end = end
        try:
            yield
        finally:
            with self._lock:
                self._end = None

    @property
    def is_told(self) -> bool:
        """Whether somebody said so."""
        return self._told.is_set()

    @property
    def is_due(self) -> bool:
        """Whether it must end."""
        return self.is_told or time.monotonic() > self._deadline


@contextmanager
def asked(engine: Engine, query: Compiled, most: int, stop: Stop) -> Iterator[Iterator[Chunk]]:
    """Rows of a query in chunks, ``most`` of them, and one more where there are more.

    Raises:
        RefusedError: the database finds that it cannot be answered, or a number has no room in its column.
        TooLongError: it takes too long.
    """
    reading = engine.execution_options(**database.READ_ONLY)
    ask = _rows_of_file if engine.dialect.name == "sqlite" else _columns_of_server
    with _translated(engine, stop), reading.connect() as connection, _limited(connection, stop):
        with ask(connection, query.limited(most + 1), query.fields) as chunks:
            yield _watched(engine, chunks, stop)
        connection.rollback()


def _watched(engine: Engine, chunks: Iterator[Chunk], stop: Stop) -> Iterator[Chunk]:
    while True:
        with _translated(engine, stop):
            chunk = next(chunks, None)
        if chunk is None:
            return
        if stop.is_due:
            raise _too_long(stop)
        yield chunk


@contextmanager
def _rows_of_file(connection: Connection, query: Query, fields: Sequence[Field]) -> Iterator[Iterator[Chunk]]:
    result = connection.execute(query)
    cursor: Any = result.cursor  # whose rows SQLAlchemy would make of tuples anew
    try:
        yield (Chunk.of_rows(fields, rows) for rows in iter(partial(cursor.fetchmany, CHUNK), []))
    finally:
        result.close()


@contextmanager
def _columns_of_server(connection: Connection, query: Query, fields: Sequence[Field]) -> Iterator[Iterator[Chunk]]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, JoiningConnection)
    with driver.giving_columns(in_parts=True):
        result = connection.execute(query)
    cursor: Any = result.cursor
    try:
        yield (Chunk.of_columns(fields, columns) for columns in cursor.parts)
    finally:
        result.close()
        if not driver.open:  # who asked has left, or had enough
            connection.invalidate()


@contextmanager
def _limited(connection: Connection, stop: Stop) -> Iterator[None]:
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: int(stop.is_due), STEPS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)
        return
    connection.exec_driver_sql(statement_limit(connection.dialect, stop.seconds))
    driver = connection.connection.driver_connection
    assert isinstance(driver, JoiningConnection)
    number = int(driver.thread_id())
    patience = driver.waiting(stop.seconds + SPARE_S)
    with patience, stop.ended_by(lambda: _end_on_server(connection.engine, number)):
        yield


def _end_on_server(engine: Engine, number: int) -> None:
    """End what another connection asks; what cannot be told so ends at its limit."""
    try:
        with engine.connect() as connection:
            connection.execute(text(f"KILL QUERY {number:d}"))
    except DBAPIError as error:
        log.warning("a question could not be told to end", error=str(error.orig))


@contextmanager
def _translated(engine: Engine, stop: Stop) -> Iterator[None]:
    """Errors of the database in words for who asks, without names of servers and statements."""
    of_driver = engine.dialect.loaded_dbapi.Error
    try:
        yield
    except (DBAPIError, of_driver) as found:
        error = found if isinstance(found, DBAPIError) else DBAPIError("", None, found)
        code = database.code_of(error)
        interrupted = isinstance(error.orig, sqlite3.OperationalError) and "interrupted" in str(error.orig)
        if interrupted or code in TIMED_OUT:
            raise _too_long(stop) from error
        if isinstance(error.orig, sqlite3.OperationalError) and any(words in str(error.orig) for words in TOO_LARGE):
            raise RefusedError(
                "the question has more parts than the database takes: upload a long list as a table, and join it"
            ) from error
        if code in TOO_MUCH:
            raise RefusedError(
                "the question looks at more rows than it may: ask for less of the sky, or of time"
            ) from error
        if code in OF_THE_QUESTION or isinstance(error.orig, sqlite3.IntegrityError | OverflowError):
            raise RefusedError(
                "the database cannot compute that: a number is out of range, or a subquery gives rows"
            ) from error
        log.error("a question failed", error=str(error.orig))
        raise error from error.orig


def _too_long(stop: Stop) -> TooLongError:
    if stop.is_told:
        return TooLongError("the question was told to end")
    return TooLongError(
        f"the question takes longer than {stop.seconds:g} s: ask for less of the sky or of time, by columns that are "
        "indexed (source_id, observation_id, CONTAINS of a CIRCLE), or by an asynchronous job"
    )
