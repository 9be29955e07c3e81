"""A new database of SQLite is made by one file of statements: what all migrations together leave in an empty one.

A run in a new folder makes one before anything else, and migrations with Alembic's import took a sixth of its start.
`python -m tests.migration.new_sqlite` writes the file, and a test compares it with what the migrations make; those that
are newer than the file run behind it. A server gets a new database once in years, by its migrations.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

FILE = Path(__file__).parent / "new_sqlite.sql"
SEPARATOR = ";\n"


def make(connection: Connection) -> bool:
    """Make the tables in the caller's transaction; False where that is not for this file to do.

    This is for a database of SQLite in which nothing is.
    """
    if connection.dialect.name != "sqlite" or inspect(connection).get_table_names():
        return False
    driver: Any = connection.connection.driver_connection
    for statement in FILE.read_text().split(SEPARATOR):
        driver.execute(statement)
    return True
