"""One manager is active, others stand by: a lock that the database (or the operating system) drops with its holder."""

import fcntl
import hashlib
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import Connection, Engine, text

from services.errors import TransientError


class Leadership(Protocol):
    """A lock that at most one manager of a database holds."""

    def hold(self) -> bool:
        """Take the lock, or confirm that it is still held; False while another manager is active."""

    def release(self) -> None:
        """Let another manager go on."""


class DatabaseLeadership:
    """``GET_LOCK`` on a connection of its own: the server frees it when the connection dies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Names of locks are global to the server and at most 64 characters long.
        self._name = "tianyu-" + hashlib.blake2b((engine.url.database or "").encode(), digest_size=16).hexdigest()
        self._connection: Connection | None = None

    def hold(self) -> bool:
        """Take or confirm the lock."""
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        query = text("SELECT IS_USED_LOCK(:name) = CONNECTION_ID() OR GET_LOCK(:name, 0)")
        return bool(self._connection.execute(query, {"name": self._name}).scalar())

    def release(self) -> None:
        """Close the connection for good: one that went back to a pool would keep the lock."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


class FileLeadership:
    """A lock on a file beside the SQLite database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def hold(self) -> bool:
        """Take or confirm the lock."""
        if self._file is not None:
            return True
        try:
            file = self._path.open("wb")
        except OSError as error:
            raise TransientError(f"lock file {self._path} cannot be opened: {error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Close the file, and so drop the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None


def leadership(engine: Engine) -> Leadership:
    """The lock that suits the database."""
    if engine.dialect.name != "sqlite":
        return DatabaseLeadership(engine)
    database = Path(engine.url.database or "tianyu.db")
    return FileLeadership(database.with_name(database.name + ".manager.lock"))
