"""The statements that make a new database of SQLite, from its migrations: `python -m tests.migration.new_sqlite`."""

import re
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from schema import database, versions
from schema.new_database import FILE, SEPARATOR

BLANKS = re.compile(r"[ \t]+$|\n\s*\Z", re.MULTILINE)  # where lines or the statement end
# What SQLite keeps for itself, and which views there are: these are made anew.
NOT_OURS = "name NOT LIKE 'sqlite%' AND name <> 'made_view'"


def statements(file: Path) -> str:
    """What makes the tables, indexes and rows of a database that has been migrated, but no views."""
    found = sqlite3.connect(file)
    made = [sql for (sql,) in found.execute("SELECT sql FROM sqlite_master WHERE type <> 'view' AND sql NOT NULL")]
    for (name,) in found.execute(f"SELECT name FROM sqlite_master WHERE type = 'table' AND {NOT_OURS}"):
        columns = [column for (column,) in found.execute("SELECT name FROM pragma_table_info(?)", (name,))]
        values = " || ', ' || ".join(f'quote("{column}")' for column in columns)
        made += [f'INSERT INTO "{name}" VALUES ({row})' for (row,) in found.execute(f'SELECT {values} FROM "{name}"')]
    found.close()
    return SEPARATOR.join(BLANKS.sub("", sql) for sql in made) + "\n"


def migrated() -> str:
    """The same of a database that all migrations have made, one after the other."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "new.db"
        engine = database.connect(f"sqlite:///{file}")
        versions.migrate(engine, step_by_step=True)
        engine.dispose()
        return statements(file)


def in_any_order(script: str) -> list[list[str]]:
    """The lines of each statement: SQLAlchemy writes a table's constraints as Python's hashes fall."""
    return [sorted(line.rstrip(",") for line in one.splitlines()) for one in script.split(SEPARATOR)]


if __name__ == "__main__":
    now = migrated()
    if in_any_order(now) != in_any_order(FILE.read_text()):
        FILE.write_text(now)
