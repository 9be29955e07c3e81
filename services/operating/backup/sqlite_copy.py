"""A SQLite database as one file, at one moment, by SQLite's own backup; writers do not wait for it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from services.errors import DataError, SurroundingsError

COMPANIONS = ("-wal", "-shm", "-journal")


def copy(engine: Engine, target: Path) -> None:
    """Copy a database that may be in use, what stands in its log too; the copy is one file.

    Raises:
        SurroundingsError: the disk is full or fails.
        DataError: the copy is not sound, which the database then is not either.
    """
    try:
        with engine.connect() as there, closing(sqlite3.connect(target)) as here:
            driver = there.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.backup(here)  # in one step, which is one moment
        make_one_file(target)
        with closing(sqlite3.connect(target)) as here:
            [found] = here.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise SurroundingsError(
            f"database {str(engine.url.database)!r} cannot be copied to {str(target)!r}: {error}"
        ) from error
    if found != "ok":
        raise DataError(f"database {str(engine.url.database)!r} is damaged: {found}; no backup was made")


def make_one_file(path: Path) -> None:
    """Take in what stands in a database's log; nothing lies beside it then, and nothing will when it is read."""
    with closing(sqlite3.connect(path)) as here:
        here.execute("PRAGMA journal_mode=DELETE")


def put_in_place(temporary: Path, target: Path) -> None:
    """Give a whole database its name, in place of what is there."""
    for companion in COMPANIONS:  # of the old one: its log is none of the new one's
        target.with_name(target.name + companion).unlink(missing_ok=True)
    temporary.replace(target)
