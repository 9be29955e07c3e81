"""One manager is active, others stand by: a lock that the database (or the operating system) drops with its holder.

The active manager works on the very connection that holds the lock: whoever loses the one loses the other, so that two
are never active, however the first one lost it.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from schema import database
from schema.database import Sessions
from services.errors import TransientError

SILENCE_S = 30  # a manager that the network cut off loses its lock after that; an active one speaks every few seconds


class Leadership(Protocol):
    """A lock that at most one manager of a database holds."""

    def acquire(self) -> Sessions | None:
        """Take the lock: sessions to work with as long as it is held, or None while another manager is active."""

    def held(self) -> bool:
        """Whether it is still ours."""

    def release(self) -> None:
        """Let another manager go on."""


class DatabaseLeadership:
    """``GET_LOCK`` on a connection of its own: the server frees it when the connection dies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Names of locks are global to the server and at most 64 characters long.
        self._name = "tianyu-" + hashlib.blake2b((engine.url.database or "").encode(), digest_size=16).hexdigest()
        self._connection: Connection | None = None

    def acquire(self) -> Sessions | None:
        """Ask for the lock on a connection that stays."""
        if self._connection is None:
            self._connection = self._engine.connect()
            with self._connection.begin():
                self._connection.execute(text(f"SET SESSION wait_timeout = {SILENCE_S}"))
        taken = self._ask("SELECT GET_LOCK(:name, 0)")
        return self if taken else None

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
        return self._ask("SELECT IS_USED_LOCK(:name) = CONNECTION_ID()")

    def _ask(self, question: str) -> bool:
        connection = self._held_connection()
        with connection.begin():
            return bool(connection.execute(text(question), {"name": self._name}).scalar())

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
        path = Path(engine.url.database or "tianyu.db")
        self._path = path.with_name(path.name + ".manager.lock")
        self._file: IO[bytes] | None = None

    def acquire(self) -> Sessions | None:
        """Lock the file."""
        try:
            file = self._path.open("wb")
        except OSError as error:
            raise TransientError(f"lock file {self._path} cannot be opened: {error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        self._file = file
        return self._sessions

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
