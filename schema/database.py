"""Engines, sessions and transactions.

The caller owns the transaction: ``with session_factory.begin() as session: …``; queries are
functions that take a session.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

SQLITE_BUSY_TIMEOUT_S = 60.0
SQLITE_POLL_S, SQLITE_POLL_GROWTH, SQLITE_POLL_MOST_S = 0.0005, 1.05, 0.01
WAL_PAGES = 16_000  # of 4 kB
LOG_PATIENCE_S = 2.0
# Of pages, by each connection. What another program commits makes all of them void; and the system keeps the file.
CACHE_KB = 16_384
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 300  # a statement on a dead connection ends, however the network died
# Of a program of the engine, which only ever speaks in short transactions: a server that hears nothing for so long ends
# the session and undoes its transaction. One that was frozen or cut off would keep its locks for hours.
SILENCE_S = 30
LOCK_WAIT_CODE = 1205
DEADLOCK_CODES = (LOCK_WAIT_CODE, 1213)  # or a deadlock: the whole transaction is tried again
# Access to a database or the server, from this host, to a table, column, routine or an administrator's command; an
# account that is locked or whose password has expired.
DENIED_CODES = (1044, 1045, 1130, 1142, 1143, 1227, 1370, 1698, 1820, 1862, 3118, 4151)
# Files, memory or threads of the server are used up, or its connections; it shuts down or was made read-only; a lock
# was not to be had. From 2000 on are the driver's own: no connection, or it was lost.
AWAY_CODES = (
    *(1020, 1021, 1026, 1030, 1037, 1038, 1040, 1041, 1053, 1077, 1114, 1135, 1152, 1158, 1159, 1160, 1161, 1184, 1203),
    *(1206, 1226, 1290, 1317, 1836, 1927, 3024, 3168, 3572, 4031, *DEADLOCK_CODES),
)
OF_DRIVER = range(2000, 3000)
AWAY_SQLITE = (
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL),
)
DEADLOCK_TRIES = 10
DEADLOCK_PAUSE_S = 0.01  # at most, a try: those who ran into each other go on at different times
IDLE_S = 1.0  # after which a kept connection may have died unnoticed
# Of sqlite3.connect, and those of SQLite's own URLs.
SQLITE_PARAMETERS = frozenset(
    (
        *("timeout", "detect_types", "isolation_level", "check_same_thread", "cached_statements", "uri"),
        *("mode", "cache", "nolock", "immutable", "vfs"),
    )
)
READ_ONLY = {"tianyu_read_only": True}

Result = TypeVar("Result")
Opened_co = TypeVar("Opened_co", Session, Connection, covariant=True)


class DatabaseUrlError(ValueError):
    """The URL names no database that Tianyu can use."""


def connect(url: str, silence_s: int | None = None) -> Engine:
    """Engine for ``sqlite:///…`` or ``mysql+pymysql://…``.

    ``silence_s``: how long a server waits for the next word of a session; None is its own time, of hours.

    Raises:
        DatabaseUrlError: the URL cannot be read or names another kind of database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUrlError(
            "the database URL cannot be read: expected sqlite:///PATH or mysql+pymysql://…"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        _require_known(parsed, SQLITE_PARAMETERS)
        return _sqlite(url)
    if backend in ("mysql", "mariadb") and parsed.get_driver_name() == "pymysql":
        from pymysql.connections import Connection as DriverConnection  # type: ignore[import-untyped]

        # Its parameters, and SQLAlchemy's names for what stands in its `ssl`.
        _require_known(parsed, frozenset(signature(DriverConnection).parameters) | {"ssl_capath", "ssl_cipher"})
        return _mysql(url, silence_s)
    raise DatabaseUrlError(
        f"database {parsed.drivername!r} is not supported: expected sqlite:///PATH or mysql+pymysql://…"
    )


def _require_known(url: URL, known: frozenset[str]) -> None:
    """What stands behind the ``?`` goes to the driver, which would tell when it connects, and not in a sentence."""
    strange = sorted(url.query.keys() - known)
    if strange:
        raise DatabaseUrlError(
            f"the database URL has {', '.join(map(repr, strange))} behind its ?, which its driver does not know: take "
            "it out, or correct the name"
        )
    try:
        url.get_dialect()().create_connect_args(url)
    except ValueError as error:
        raise DatabaseUrlError(f"what follows the ? of the database URL cannot be read: {error}") from error


def _mysql(url: str, silence_s: int | None) -> Engine:
    from schema.driver import JoiningConnection  # and PyMySQL with it, a twentieth of a second that SQLite needs not

    options = {"connect_timeout": CONNECT_TIMEOUT_S, "read_timeout": READ_TIMEOUT_S, "charset": "utf8mb4"}
    if silence_s is not None:
        options["init_command"] = f"SET SESSION wait_timeout = {silence_s:d}"
    engine = create_engine(
        url, isolation_level="READ COMMITTED", pool_pre_ping=True, pool_recycle=1800, connect_args=options
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> JoiningConnection:
        return JoiningConnection(*arguments, **options)

    return engine


def _sqlite(url: str) -> Engine:
    # Connections are kept: the last one to close writes the whole log back, which costs more than a transaction.
    # Each is used by one thread at a time, and worker processes are spawned, never forked.
    arguments = {"timeout": SQLITE_BUSY_TIMEOUT_S, "check_same_thread": False}
    engine = create_engine(url, poolclass=QueuePool, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late: see _begin
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # With WAL, NORMAL survives any crash of a process; only a power cut may undo the last commits,
        # which then run again.
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        # Each frame's fluxes touch a page a source; written back ten frames at a time they cost half as much.
        cursor.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another wrote in between;
        # taking the write lock first makes it wait instead.
        if connection.get_execution_options().get("tianyu_read_only", False):
            _begin_reading(connection)
        else:
            _begin_soon(connection)

    return engine


def _begin_reading(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    try:
        driver.execute("BEGIN")
    except sqlite3.Error:
        connection.exec_driver_sql("BEGIN")  # in SQLAlchemy's words if it cannot be had


def _begin_soon(connection: Connection) -> None:
    """Take SQLite's write lock as soon as it is free.

    SQLite looks for it at growing intervals of up to 100 ms: a claim then waits longer than the commit before it takes.
    """
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_S
    pause = SQLITE_POLL_S
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < deadline:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    break
                time.sleep(pause)
                pause = min(pause * SQLITE_POLL_GROWTH, SQLITE_POLL_MOST_S)
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # once more, in SQLAlchemy's words if it cannot be had
    finally:
        driver.execute(f"PRAGMA busy_timeout={1000 * SQLITE_BUSY_TIMEOUT_S:.0f}")


@contextmanager
def changing(engine: Engine, lock_wait_s: int) -> Iterator[Connection]:
    """A transaction that changes tables, on a connection of its own, which waits for nobody's locks for long.

    It does wait for the server's answer, which comes when all is copied that must be.
    """
    with engine.connect() as connection, _free_of_references(connection), connection.begin():
        if engine.dialect.name != "sqlite":
            driver: Any = connection.connection.driver_connection  # a `JoiningConnection`
            connection.detach()
            driver.be_patient()
            connection.execute(text(f"SET SESSION lock_wait_timeout = {lock_wait_s}"))
        yield connection


@contextmanager
def _free_of_references(connection: Connection) -> Iterator[None]:
    """SQLite changes a constraint by a new table in the place of the old, to whose rows others refer meanwhile."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")  # in a transaction it would do nothing
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def write_log_back(file: Path) -> None:
    """Leave a SQLite database, if there is one, whole in its file; a log that others read stays until they have.

    They are not waited for long: it is written back whenever all have left.
    """
    if file.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(file, LOG_PATIENCE_S)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after commit."""
    return sessionmaker(engine, expire_on_commit=False)


def reading_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions that only read: on SQLite they never wait for a writer."""
    return sessionmaker(engine.execution_options(**READ_ONLY), expire_on_commit=False)


class Transactions(Protocol[Opened_co]):
    """What opens transactions: a factory of sessions, or a connection that is kept."""

    def begin(self) -> AbstractContextManager[Opened_co]:
        """A session or connection in a transaction, committed at the end of the block."""


Sessions = Transactions[Session]


class KeptConnection:
    """A connection that one thread keeps from transaction to transaction, without a session's bookkeeping.

    A pool asks whether the connection is alive before each and rolls back after each: two round trips of the seven of a
    claim. This one asks only when it has lain idle.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._used = 0.0

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """The kept connection in a transaction; after an error the next one gets another connection."""
        try:
            connection = self._alive()
            with connection.begin():
                yield connection
        except DBAPIError:
            self.close()
            raise
        self._used = time.monotonic()

    def version(self) -> object:
        """What is equal to the last answer where nothing was committed since: by SQLite's own count, for nothing.

        A server does not tell: each of its answers is another.
        """
        if self._engine.dialect.name != "sqlite":
            return object()
        try:
            connection = self._alive()
            driver: Any = connection.connection.driver_connection
            try:
                (count,) = driver.execute("PRAGMA data_version").fetchone()
            except sqlite3.Error:  # the next question tells
                return object()
        except DBAPIError:
            self.close()
            return object()
        self._used = time.monotonic()
        return driver, count

    def _alive(self) -> Connection:
        if self._connection is None or time.monotonic() - self._used > IDLE_S:
            self.close()
            self._connection = self._engine.connect()
        return self._connection

    def close(self) -> None:
        """Give the connection back to the pool."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def code_of(error: DBAPIError) -> object:
    """The server's number of an error of MySQL or MariaDB; SQLite has words only."""
    return error.orig.args[0] if error.orig is not None and error.orig.args else None


def is_denied(error: DBAPIError) -> bool:
    """Whether a user, a password or a right was refused: trying again does not help."""
    return code_of(error) in DENIED_CODES


def is_away(error: DBAPIError) -> bool:
    """Whether server, connection, disk or lock is at fault: the same statement may succeed later."""
    if isinstance(error.orig, sqlite3.Error):
        return (getattr(error.orig, "sqlite_errorcode", None) or 0) & 0xFF in AWAY_SQLITE  # its lowest byte is the kind
    code = code_of(error)
    return error.connection_invalidated or code in AWAY_CODES or code in OF_DRIVER


def transact(transactions: Transactions[Opened_co], work: Callable[[Opened_co], Result]) -> Result:
    """Run ``work`` in one transaction, and the whole of it again after a deadlock or a lock timeout."""
    for number in range(DEADLOCK_TRIES):
        if number > 1:  # once at once: the other one has mostly got through by then
            time.sleep(random.uniform(0.0, number * DEADLOCK_PAUSE_S))  # noqa: S311 - no secret hangs on it
        try:
            with transactions.begin() as opened:
                return work(opened)
        except OperationalError as error:
            if code_of(error) not in DEADLOCK_CODES or number == DEADLOCK_TRIES - 1:
                raise
    raise AssertionError("unreachable")
