"""Engines, sessions and transactions.

The caller owns the transaction: ``with session_factory.begin() as session: …``; queries are
functions that take a session.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

SQLITE_BUSY_TIMEOUT_S = 60.0
WAL_PAGES = 16_000  # of 4 kB
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 300  # a statement on a dead connection ends, however the network died
DEADLOCK_CODES = (1205, 1213)  # lock wait timeout, deadlock: the whole transaction is tried again
DEADLOCK_TRIES = 10
READ_ONLY = {"tianyu_read_only": True}

Result = TypeVar("Result")


class DatabaseUrlError(ValueError):
    """The URL names no database that Tianyu can use."""


def connect(url: str) -> Engine:
    """Engine for ``sqlite:///…`` or ``mysql+pymysql://…``.

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
        return _sqlite(url)
    if backend in ("mysql", "mariadb") and parsed.get_driver_name() == "pymysql":
        return create_engine(
            url,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_recycle=1800,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "read_timeout": READ_TIMEOUT_S, "charset": "utf8mb4"},
        )
    raise DatabaseUrlError(
        f"database {parsed.drivername!r} is not supported: expected sqlite:///PATH or mysql+pymysql://…"
    )


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
        cursor.execute("PRAGMA cache_size=-65536")
        # Each frame's fluxes touch a page a source; written back ten frames at a time they cost half as much.
        cursor.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another wrote in between;
        # taking the write lock first makes it wait instead.
        read_only = connection.get_execution_options().get("tianyu_read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after commit."""
    return sessionmaker(engine, expire_on_commit=False)


def reading_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions that only read: on SQLite they never wait for a writer."""
    return sessionmaker(engine.execution_options(**READ_ONLY), expire_on_commit=False)


def transact(sessions: sessionmaker[Session], work: Callable[[Session], Result]) -> Result:
    """Run ``work`` in one transaction, and the whole of it again after a deadlock or a lock timeout."""
    for tries_left in range(DEADLOCK_TRIES, 0, -1):
        try:
            with sessions.begin() as session:
                return work(session)
        except OperationalError as error:
            code = error.orig.args[0] if error.orig is not None and error.orig.args else None
            if code not in DEADLOCK_CODES or tries_left == 1:
                raise
    raise AssertionError("unreachable")
