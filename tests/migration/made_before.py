"""Databases as earlier versions left them, and what their views showed.

``data/schema_0005.json.xz``: a simulated night by the last version of schema 0005, with one frame cut short, one
without stars, and a rerun from `select`; of one image `select` found the alignment. Tables by name, each with columns
and rows, and the views' rows in the order of their keys.
"""

import json
import lzma
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Engine, MetaData, delete, text

from schema import database, versions, views

DATA = Path(__file__).parent / "data"
MADE_BY_MIGRATIONS = "alembic_version"


def read(revision: str) -> dict[str, Any]:
    """``tables`` and ``views``, each by name with ``columns`` and ``rows``."""
    content: dict[str, Any] = json.loads(lzma.decompress((DATA / f"schema_{revision}.json.xz").read_bytes()))
    return content


def take_back(engine: Engine, revision: str) -> None:
    """Undo the migrations behind this revision."""
    config = versions.alembic_config()
    with database.changing(engine, versions.LOCK_WAIT_S) as connection:
        views.drop(connection)
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def load(engine: Engine, revision: str) -> None:
    """Make a database of this revision with the rows of that time."""
    tables = read(revision)["tables"]
    config = versions.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        metadata = MetaData()
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            if table.name not in tables or table.name == MADE_BY_MIGRATIONS:
                continue
            connection.execute(delete(table))
            columns = tables[table.name]["columns"]
            names, marks = ", ".join(columns), ", ".join(f":{name}" for name in columns)
            rows = [dict(zip(columns, row, strict=True)) for row in tables[table.name]["rows"]]
            connection.execute(text(f"INSERT INTO {table.name} ({names}) VALUES ({marks})"), rows)
