"""Ask the database, within limits of time and rows, by connections that cannot write."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from schema import database
from schema.driver import JoiningConnection
from services.log import get_logger
from services.vo.adql.typed import Compiled
from services.vo.vo_errors import RefusedError, TooLongError

CHUNK = 1000  # rows
STEPS = 20_000  # of SQLite's machine between two looks at the clock
TIMED_OUT = (3024, 1969, 1317)  # of MySQL, of MariaDB, and of either when it is told to stop
TOO_MUCH = (1104, 1226)  # rows that it would look at, or connections of the login
# What the question itself is at fault for: numbers out of range, and what a server has no plan for.
TOO_LARGE = ("too large", "too many", "at most", "stack overflow")  # of SQLite, for a question that is
OF_THE_QUESTION = (1116, 1117, 1235, 1242, 1264, 1365, 1390, 1436, 1690, 3020, 3141)

Rows = list[tuple[Any, ...]]
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
def asked(engine: Engine, query: Compiled, most: int, stop: Stop) -> Iterator[Iterator[Rows]]:
    """Rows of a query in chunks, ``most`` of them, and one more where there are more.

    Raises:
        RefusedError: the database finds that it cannot be answered.
        TooLongError: it takes too long.
    """
    reading = engine.execution_options(**database.READ_ONLY)
    with _translated(stop), reading.connect() as connection, _limited(connection, stop):
        result = connection.execution_options(stream_results=True, max_row_buffer=CHUNK).execute(
            query.limited(most + 1)
        )
        try:
            yield _chunks(result, most + 1, stop)
        finally:
            result.close()
            connection.rollback()


def _chunks(result: Any, most: int, stop: Stop) -> Iterator[Rows]:
    left = most
    while left > 0:
        with _translated(stop):
            rows = [tuple(row) for row in result.fetchmany(min(CHUNK, left))]
        if not rows:
            return
        if stop.is_due:
            raise _too_long(stop)
        left -= len(rows)
        yield rows


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
    connection.exec_driver_sql(database.statement_limit(connection.dialect, stop.seconds))
    driver = connection.connection.driver_connection
    assert isinstance(driver, JoiningConnection)
    number = int(driver.thread_id())
    with stop.ended_by(lambda: _end_on_server(connection.engine, number)):
        yield


def _end_on_server(engine: Engine, number: int) -> None:
    """End what another connection asks; what cannot be told so ends at its limit."""
    try:
        with engine.connect() as connection:
            connection.execute(text(f"KILL QUERY {number:d}"))
    except DBAPIError as error:
        log.warning("a question could not be told to end", error=str(error.orig))


@contextmanager
def _translated(stop: Stop) -> Iterator[None]:
    """Errors of the database in words for who asks, without names of servers and statements."""
    try:
        yield
    except DBAPIError as error:
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
        raise


def _too_long(stop: Stop) -> TooLongError:
    if stop.is_told:
        return TooLongError("the question was told to end")
    return TooLongError(
        f"the question takes longer than {stop.seconds:g} s: ask for less of the sky or of time, by columns that are "
        "indexed (source_id, observation_id, CONTAINS of a CIRCLE), or by an asynchronous job"
    )
