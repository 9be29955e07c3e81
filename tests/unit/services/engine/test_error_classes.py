"""Which errors of a step are the surroundings' fault, and which the process's own."""

import errno
import sqlite3
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from schema import database
from services.engine.consumer.worker import _error_class
from services.errors import ConfigurationError, DataError, LostFrameError, SurroundingsError, TransientError


def of_server(code: int) -> DBAPIError:
    return OperationalError("SELECT 1", {}, pymysql.err.OperationalError(code, "the server says so"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "full"), "surroundings"),
        (OSError(errno.EROFS, "read-only"), "surroundings"),
        (OSError(errno.EIO, "bad sector"), "surroundings"),
        (OSError(errno.ESTALE, "gone"), "surroundings"),
        (TimeoutError(errno.ETIMEDOUT, "network disk"), "surroundings"),
        (SurroundingsError("folder away"), "surroundings"),
        (of_server(2003), "surroundings"),  # no connection
        (of_server(2013), "surroundings"),  # lost
        (of_server(1040), "surroundings"),  # too many
        (of_server(1290), "surroundings"),  # read-only
        (of_server(1213), "surroundings"),  # deadlock, time and again
        (of_server(1142), "configuration"),  # denied
        (of_server(1062), "transient"),  # duplicate: the statement's own
        (OSError(errno.EACCES, "no right"), "transient"),
        (OSError(errno.EMFILE, "too many open files"), "transient"),
        (MemoryError(), "transient"),
        (LostFrameError("gone"), "transient"),
        (TransientError("catalogue away"), "transient"),
        (DataError("no stars"), "data"),
        (ConfigurationError("no such command"), "configuration"),
        (ValueError("?"), "bug"),
    ],
    ids=repr,
)
def test_every_error(error: Exception, expected: str) -> None:
    assert _error_class(error) == expected


def fails(engine: Engine, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as raised, engine.begin() as connection:
        connection.execute(text(statement))
    return raised.value


def test_errors_of_a_server_that_is_away_and_of_a_statement(database_url: str) -> None:
    away = database.connect("mysql+pymysql://tianyu@127.0.0.1:9/tianyu")
    assert _error_class(fails(away, "SELECT 1")) == "surroundings"
    engine = database.connect(database_url)
    assert _error_class(fails(engine, "SELECT nothing FROM nowhere")) == "transient"
    with engine.connect() as connection:
        number = connection.execute(text("SELECT CONNECTION_ID()")).scalar()
        with engine.begin() as other:
            other.execute(text(f"KILL {number}"))
        with pytest.raises(DBAPIError) as raised:
            connection.execute(text("SELECT 1"))
    assert _error_class(raised.value) == "surroundings"


def test_errors_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tianyu.db"
    sqlite3.connect(path).execute("CREATE TABLE there (a)").connection.close()
    engine = database.connect(f"sqlite:///{path}")
    assert _error_class(fails(engine, "SELECT * FROM nowhere")) == "transient"
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # as a disk that is full
        with pytest.raises(DBAPIError) as raised:
            connection.execute(text("CREATE TABLE another (a)"))
    assert _error_class(raised.value) == "surroundings"
    assert _error_class(fails(database.connect(f"sqlite:///{tmp_path}/no/folder.db"), "SELECT 1")) == "surroundings"
