"""Databases with Tianyu's tables and the rows of a new one: migrated once an engine, made as new between tests.

Migrating takes a server seconds, most of them its disk's; deleting the few rows of a test takes hundredths. What must
not be shared (by programs that may outlive their test, by tests of migrations) has a fresh database instead.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, select, text

from schema import database, versions
from schema.driver import SEPARATOR
from tests.servers.sessions import end_sessions

SQLITE = "sqlite"
COUNTER = re.compile(r" AUTO_INCREMENT=\d+")

Rows = dict[str, list[dict[str, Any]]]
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
class ReadyDatabase:
    """A database on a server, the statements that would make its tables and views, and the rows of a new one."""

    engine: Engine
    tables: MetaData
    definitions: dict[str, str]
    rows: Rows

    @classmethod
    def look(cls, url: str) -> "ReadyDatabase":
        """One that has been migrated."""
        engine, tables = database.connect(url), MetaData()
        tables.reflect(engine)
        with engine.connect() as connection:
            return cls(engine, tables, definitions(connection), all_rows(connection, tables))

    def renew(self) -> bool:
        """Make it as new; False where a test has changed more than rows."""
        with self.engine.begin() as connection:
            end_sessions(connection, str(self.engine.url.database))
            now = definitions(connection)
            if {name: COUNTER.sub("", made_by) for name, made_by in now.items()} != self.definitions:
                return False
            connection.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
            filled = " UNION ALL ".join(f"(SELECT '{name}' FROM `{name}` LIMIT 1)" for name in self.tables.tables)
            for name in connection.exec_driver_sql(filled).scalars().all():
                connection.execute(self.tables.tables[name].delete())
            for name in self.tables.tables:
                if COUNTER.search(now[name]):
                    connection.execute(text(f"ALTER TABLE `{name}` AUTO_INCREMENT = 1"))
            for name, rows in self.rows.items():
                connection.execute(self.tables.tables[name].insert(), rows)
        return True


def definitions(connection: Connection) -> dict[str, str]:
    """The statement that would make each table and view."""
    names = connection.execute(text("SHOW TABLES")).scalars().all()
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(SEPARATOR.join(f"SHOW CREATE TABLE `{name}`" for name in names))
        return {name: rows[0][1] for name, (_, rows) in zip(names, cursor.results, strict=True)}


def all_rows(connection: Connection, tables: MetaData) -> Rows:
    """Rows of each table that has any."""
    found = {
        name: [dict(row) for row in connection.execute(select(table)).mappings()]
        for name, table in tables.tables.items()
    }
    return {name: rows for name, rows in found.items() if rows}


class ReadyDatabases:
    """Lends databases that are as new; those of servers come back, those of SQLite are copies of a file."""

    def __init__(self, fresh: FreshDatabase, folder: Path) -> None:
        self._fresh, self._folder = fresh, folder
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

    def copy_sqlite(self, path: Path) -> str:
        """Copy a migrated file; returns the URL."""
        path.write_bytes(ready_file())
        return f"sqlite:///{path}"

    def _make(self, engine: str) -> tuple[ReadyDatabase, ExitStack]:
        with ExitStack() as stack:
            url = stack.enter_context(self._fresh(engine, self._folder))
            migrate(url)
            return ReadyDatabase.look(url), stack.pop_all()

    def close(self) -> None:
        """Drop those that nobody has."""
        for _, end in self._free.values():
            end.close()
