"""How far a migration has come on a server that undoes none of its statements: MySQL and MariaDB.

Each statement is counted when it has been carried out, in the transaction that the next change of a table commits. An
upgrade that was cut goes on behind the last that was counted. Of the first that was not, the server did all or nothing;
if it is a change of a table that the server finds done, it was done.
"""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import ExecutableDDLElement

from schema.database import code_of
from schema.revisions import PROGRESS, is_cut

# Table, column, key or constraint is there already; a table, column, key or constraint to drop or rename is not there.
DONE_CODES = (1005, 1050, 1051, 1054, 1060, 1061, 1091, 1826, 3822, 3940)
CHANGES = re.compile(r"\s*(ALTER|CREATE|DROP|RENAME)\b", re.IGNORECASE)

Execute = Callable[..., Any]


class UpgradeProgress:
    """Counts the statements of the migration that comes next, and leaves out those that were carried out before."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._number = 0
        self._resumes = is_cut(connection)  # the next statement that is carried out may have been before
        connection.execute(
            text(f"CREATE TABLE IF NOT EXISTS {PROGRESS} (number INTEGER NOT NULL PRIMARY KEY) ENGINE=InnoDB")
        )
        self._done: int = connection.scalar(text(f"SELECT COALESCE(MAX(number), 0) FROM {PROGRESS}")) or 0  # noqa: S608

    def counting(self, execute: Execute) -> Execute:
        """The same as ``execute``, which takes a statement first."""

        def carry_out(statement: Any, *args: Any, **options: Any) -> Any:
            self._number += 1
            if self._number <= self._done:
                return None
            resumes, self._resumes = self._resumes, False
            try:
                result = execute(statement, *args, **options)
            except DBAPIError as error:
                if not (resumes and _changes_tables(statement) and code_of(error) in DONE_CODES):
                    raise
                result = None
            counted = text(f"INSERT INTO {PROGRESS} (number) VALUES (:number)")  # noqa: S608
            self._connection.execute(counted, {"number": self._number})
            return result

        return carry_out

    def next_migration(self, **_facts: Any) -> None:
        """The database says that the migration is done: in the same transaction none of the next one is."""
        self._connection.execute(text(f"DELETE FROM {PROGRESS}"))  # noqa: S608
        self._number = self._done = 0

    def end(self) -> None:
        """All is done."""
        self._connection.execute(text(f"DROP TABLE {PROGRESS}"))


def _changes_tables(statement: Any) -> bool:
    return isinstance(statement, ExecutableDDLElement) or CHANGES.match(str(statement)) is not None
