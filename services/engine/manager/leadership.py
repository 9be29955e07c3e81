"""One manager is active, others stand by: a lock that the database (or the operating system) drops with its holder.

The active manager works on the very connection that holds the lock: whoever loses the one loses the other, so that two
are never active, however the first one lost it. Who may only read the database can neither take
the lock nor hold it up.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from schema import database
from schema.database import Sessions
from schema.queries import leading
from services.engine.presence import HOST
from services.errors import TransientError

WRITTEN_BY_OWNER, WRITTEN_BY_ALL = 0o200, 0o222  # modes of files


class Leadership(Protocol):
    """A lock that at most one manager of a database holds."""

    holder: str
    """Who was found to have it when it could not be taken."""

    def acquire(self) -> Sessions | None:
        """Take the lock: sessions to work with as long as it is held, or None while another manager is active."""

    def held(self) -> bool:
        """Whether it is still ours."""

    def release(self) -> None:
        """Let another manager go on."""


class DatabaseLeadership:
    """A lock on a connection of its own, and a row that names both: the server frees it when the connection dies.

    A manager that the network cut off loses it as the engine's connections end in silence; an active one speaks every
    few seconds.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._lock_name = ""
        self.holder = ""

    def acquire(self) -> Sessions | None:
        """Ask for the leadership on a connection that stays."""
        if self._connection is None:
            self._connection = self._engine.connect()
            with self._connection.begin():
                self._lock_name = leading.take_lock(self._connection)
        connection = self._held_connection()
        with connection.begin():
            holder = leading.take_over(connection, self._lock_name, HOST)
        self.holder = holder or ""
        return None if holder else self

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session on the connection that holds the lock."""
        with Session(self._held_connection(), expire_on_commit=False) as session, session.begin():
            yield session

    def _held_connection(self) -> Connection:
        # A connection that was lost would be replaced by a new one without a word: one that has no lock.
        if self._connection is None or self._connection.invalidated:
            raise TransientError("the connection that held the manager's lock is gone")
        return self._connection

    def held(self) -> bool:
        """Ask the server."""
        connection = self._held_connection()
        with connection.begin():
            return leading.leads(connection, self._lock_name)

    def release(self) -> None:
        """Close the connection for good: one that went back to a pool would keep the lock."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


class FileLeadership:
    """A lock on a file beside the SQLite database."""

    def __init__(self, engine: Engine) -> None:
        self._sessions = database.session_factory(engine)
        self._database = path = Path(engine.url.database or "tianyu.db")
        self._path = path.with_name(path.name + ".manager.lock")
        self.holder = f"the one that has locked {self._path}"
        self._file: IO[bytes] | None = None

    def acquire(self) -> Sessions | None:
        """Lock the file."""
        try:
            file = self._open()
        except OSError as error:
            raise TransientError(f"lock file {self._path} cannot be opened: {error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        self._file = file
        return self._sessions

    def _open(self) -> IO[bytes]:
        """For those who may write into the database: who can read a file can lock it, too."""
        database_mode = self._database.stat().st_mode if self._database.exists() else WRITTEN_BY_OWNER
        file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT, database_mode & WRITTEN_BY_ALL), "wb")
        with suppress(PermissionError):  # somebody else's, who has set it so
            os.fchmod(file.fileno(), database_mode & WRITTEN_BY_ALL)
        return file

    def held(self) -> bool:
        """An open file keeps its lock."""
        return self._file is not None

    def release(self) -> None:
        """Close the file, and so drop the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None


def leadership(engine: Engine) -> Leadership:
    """The lock that suits the database."""
    return FileLeadership(engine) if engine.dialect.name == "sqlite" else DatabaseLeadership(engine)
