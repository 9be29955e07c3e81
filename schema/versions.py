"""The version of the schema: migrate a database to the newest, refuse one of another.

Apart from `schema.database`, since workers need no Alembic, and its import takes a tenth of a second.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from schema import database, partitions, views
from schema.database import READ_ONLY

# Whoever reads while a change of a table or view waits for an older reader waits as well: the change gives up soon, and
# well before its connection does, for a server carries out what nobody waits for any more.
LOCK_WAIT_S = 5
UPGRADE_LOCK_WAIT_S = 120  # once it has begun: to give up would leave a half


class SchemaVersionError(RuntimeError):
    """The database's schema is not the one that this version of Tianyu was written for."""


def alembic_config() -> Config:
    """Configuration that names our migrations; the connection goes into ``attributes``."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def needed() -> str:
    """The revision of the schema that this code was written for."""
    return str(ScriptDirectory.from_config(alembic_config()).get_current_head())


def migrate(engine: Engine, rows_per_range: int = partitions.ROWS_PER_RANGE) -> list[str]:
    """Bring the schema to the newest version, and arrange the partitions; returns what was done to these."""
    config = alembic_config()
    with database.changing(engine, LOCK_WAIT_S) as connection:
        config.attributes["connection"] = connection
        if MigrationContext.configure(connection).get_current_revision() != needed():
            if engine.dialect.name == "sqlite":  # it alters no table that a view reads; all is one transaction there
                views.drop(connection)
            else:
                _find_who_is_in_the_way(connection)
            command.upgrade(config, "head")
            if engine.dialect.name == "sqlite":
                _require_references(connection)
        views.make(connection)
    with database.changing(engine, LOCK_WAIT_S) as connection:
        return partitions.arrange(connection, rows_per_range, copies_all=True)


def _find_who_is_in_the_way(connection: Connection) -> None:
    """Change every table in nothing, which waits as a real change would: a server undoes no half of an upgrade."""
    for name in inspect(connection).get_table_names():
        connection.execute(text(f"ALTER TABLE `{name}` COMMENT = ''"))
    connection.execute(text(f"SET SESSION lock_wait_timeout = {UPGRADE_LOCK_WAIT_S}"))


def _require_references(connection: Connection) -> None:
    """Each row that another one refers to is there; servers see to that by themselves."""
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if lost:
        raise SchemaVersionError(f"the upgrade would lose rows that others refer to: {lost[:3]}; nothing was changed")


def check_version(engine: Engine) -> None:
    """Raise ``SchemaVersionError`` unless the schema is exactly the one this code was written for."""
    expected = needed()
    with engine.connect().execution_options(**READ_ONLY) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found == expected:
        return
    name = engine.url.render_as_string(hide_password=True)
    if found is None:
        raise SchemaVersionError(f"database {name} has no Tianyu schema: run `tianyu init`")
    raise SchemaVersionError(
        f"database {name} has schema version {found}, this Tianyu needs {expected}: "
        "run `tianyu init` to upgrade it, or install the Tianyu that made it"
    )
