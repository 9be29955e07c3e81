"""Databases with Tianyu's tables and the rows of a new one: migrated once an engine, made as new between tests.

Migrating takes a server seconds, of MySQL's processor as well; making what was migrated before takes tenths, deleting
the few rows of a test hundredths. What must not be shared (by programs that may outlive their test, by tests of
migrations) has a fresh database instead.
"""

import fcntl
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pymysql.constants import ER  # type: ignore[import-untyped]
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database, versions
from schema.driver import SEPARATOR
from tests.servers.sessions import end_sessions

SQLITE = "sqlite"
SAID_TWICE = " CHARACTER SET utf8mb4 COLLATE utf8mb4"  # by MySQL, of columns that were made with a collation
COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
NO_FOREIGN_KEYS = text("SET FOREIGN_KEY_CHECKS = 0")

FreshDatabase = Callable[[str, Path], AbstractContextManager[str]]


def migrate(url: str) -> None:
    """Make the tables."""
    engine = database.connect(url)
    versions.migrate(engine)
    engine.dispose()


@cache
def ready_file() -> bytes:
    """What a migrated file of SQLite holds."""
    with TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/ready.db")
        [file] = Path(folder).iterdir()  # the write-ahead log was taken in by it
        return file.read_bytes()


@dataclass(frozen=True)
class Content:
    """The statements that would make a server's tables and views, and the rows of the tables that have any."""

    definitions: dict[str, str]
    rows: dict[str, list[tuple[Any, ...]]]

    @classmethod
    def of(cls, url: str) -> "Content":
        """What a database holds."""
        engine = database.connect(url)
        with engine.connect() as connection:
            made_by = definitions(connection)
            found = {name: all_rows(connection, name) for name in tables(made_by)}
        engine.dispose()
        return cls(made_by, {name: rows for name, rows in found.items() if rows})

    def put_into(self, url: str) -> None:
        """Make the same in an empty database."""
        engine = database.connect(url)
        with engine.begin() as connection:
            connection.execute(NO_FOREIGN_KEYS)
            waiting = list(self.definitions.values())
            while waiting:
                waiting = [one for one in waiting if not _is_made(connection, one)]
            self.fill(connection)
        engine.dispose()

    def fill(self, connection: Connection) -> None:
        """Insert the rows."""
        for name, rows in self.rows.items():
            places = ", ".join(["%s"] * len(rows[0]))
            connection.exec_driver_sql(f"INSERT INTO `{name}` VALUES ({places})", rows)


@dataclass(frozen=True)
class ReadyDatabase:
    """A database on a server, and what it holds when it is new."""

    engine: Engine
    content: Content

    @classmethod
    def look(cls, url: str) -> "ReadyDatabase":
        """One that is as new."""
        return cls(database.connect(url), Content.of(url))

    def renew(self) -> bool:
        """Make it as new; False where a test has changed more than rows."""
        with self.engine.begin() as connection:
            end_sessions(connection, str(self.engine.url.database))
            now = definitions(connection)
            if {name: COUNTER.sub("", made_by) for name, made_by in now.items()} != self.content.definitions:
                return False
            connection.execute(NO_FOREIGN_KEYS)
            counting = {name for name in tables(now) if COUNTER.search(now[name])}
            filled = " UNION ALL ".join(f"(SELECT '{name}' FROM `{name}` LIMIT 1)" for name in tables(now))
            for name in connection.exec_driver_sql(filled).scalars().all():
                if name not in counting:
                    connection.exec_driver_sql(f"DELETE FROM `{name}`")
            for name in counting:  # MySQL takes half of what setting a counter takes it
                connection.exec_driver_sql(f"TRUNCATE TABLE `{name}`")
            self.content.fill(connection)
        return True


def definitions(connection: Connection) -> dict[str, str]:
    """The statement that would make each table and view."""
    names = connection.execute(text("SHOW TABLES")).scalars().all()
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(SEPARATOR.join(f"SHOW CREATE TABLE `{name}`" for name in names))
        made_by = (rows[0][1].replace(SAID_TWICE, " COLLATE utf8mb4") for _, rows in cursor.results)
        return dict(zip(names, made_by, strict=True))


def count_rows_anew(session: Session) -> None:
    """Have a server look at its tables: it refuses questions by an estimate, in a lent database of what was there."""
    session.commit()
    if session.get_bind().dialect.name != SQLITE:
        names = tables(definitions(session.connection()))
        session.execute(text(f"ANALYZE TABLE {', '.join(names)}")).all()
    session.commit()


def tables(made_by: dict[str, str]) -> list[str]:
    """Those that are no views."""
    return [name for name, statement in made_by.items() if statement.startswith("CREATE TABLE")]


def all_rows(connection: Connection, name: str) -> list[tuple[Any, ...]]:
    """Rows of a table."""
    return [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM `{name}`")]


def _is_made(connection: Connection, statement: str) -> bool:
    """Whether a table or view could be made; a view may be of one that is not there yet."""
    try:
        connection.exec_driver_sql(statement.replace("%", "%%"))
    except DBAPIError as error:
        if error.orig is None or error.orig.args[0] != ER.NO_SUCH_TABLE:
            raise
        return False
    return True


class ReadyDatabases:
    """Lends databases that are as new; those of servers come back, those of SQLite are copies of a file."""

    def __init__(self, fresh: FreshDatabase, folder: Path, kept: Path) -> None:
        """In folder ``kept`` stands what a migrated database holds, of each engine, for other programs too."""
        self._fresh, self._folder, self._kept = fresh, folder, kept
        self._free: dict[str, tuple[ReadyDatabase, ExitStack]] = {}

    @contextmanager
    def lend(self, engine: str, folder: Path) -> Iterator[str]:
        """URL of one."""
        if engine == SQLITE:
            yield self.copy_sqlite(folder / "test.db")
            return
        lent, end = self._free.pop(engine, None) or self._make(engine)
        yield lent.engine.url.render_as_string(hide_password=False)
        if lent.renew():
            self._free[engine] = lent, end
        else:
            end.close()

    @contextmanager
    def own(self, engine: str, folder: Path) -> Iterator[str]:
        """URL of one that nobody has afterwards, for programs that may outlive their test."""
        if engine == SQLITE:
            yield self.copy_sqlite(folder / "test.db")
            return
        with self._fresh(engine, folder) as url:
            self._fill(engine, url)
            yield url

    def copy_sqlite(self, path: Path) -> str:
        """Copy a migrated file; returns the URL."""
        path.write_bytes(ready_file())
        return f"sqlite:///{path}"

    def _fill(self, engine: str, url: str) -> Content:
        """Make the tables in an empty database on a server: who comes first migrates, others do as that one's says."""
        kept = self._kept / f"{engine}.pickle"
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                migrate(url)
                content = Content.of(url)
                kept.write_bytes(pickle.dumps(content))
                return content
        found: Content = pickle.loads(kept.read_bytes())
        found.put_into(url)
        return found

    def _make(self, engine: str) -> tuple[ReadyDatabase, ExitStack]:
        with ExitStack() as stack:
            url = stack.enter_context(self._fresh(engine, self._folder))
            content = self._fill(engine, url)
            return ReadyDatabase(database.connect(url), content), stack.pop_all()

    def close(self) -> None:
        """Drop those that nobody has."""
        for _, end in self._free.values():
            end.close()
