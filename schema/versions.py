"""The version of the schema: say what an upgrade would do, migrate a database to the newest, refuse one of another.

Alembic, whose import takes a tenth of a second, is loaded where there is something to migrate.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from schema import database, new_database, partitions, revisions, views
from schema.database import READ_ONLY
from schema.queries.services import AliveService, alive_services
from schema.upgrade_progress import UpgradeProgress

if TYPE_CHECKING:
    from alembic.config import Config

# Whoever reads while a change of a table or view waits for an older reader waits as well: the change gives up soon, and
# well before its connection does, for a server carries out what nobody waits for any more.
LOCK_WAIT_S = 5
UPGRADE_LOCK_WAIT_S = 120  # once it has begun: to give up would leave a half
_LOCK = text("SELECT GET_LOCK(CONCAT('tianyu ', SHA2(DATABASE(), 224)), 0)")  # 63 characters; until the connection ends


class SchemaVersionError(RuntimeError):
    """The database's schema is not the one that this version of Tianyu was written for."""


class UnknownRevisionError(RuntimeError):
    """The database has a revision that is not among the migrations."""


class UpgradingError(RuntimeError):
    """Somebody else upgrades the database."""


class InUseError(RuntimeError):
    """An upgrade would change what running programs use."""

    def __init__(self, steps: "Sequence[Step]", services: Sequence[AliveService]) -> None:
        super().__init__(f"in use by {', '.join(one.name for one in services)}")
        self.steps, self.services = steps, services


@dataclass(frozen=True)
class Step:
    """A migration, and whether programs of the schema before may run on."""

    revision: str
    title: str
    older_may_run: bool


@dataclass(frozen=True)
class Plan:
    """What an upgrade would do; ``found`` is None where there is no schema."""

    found: str | None
    steps: tuple[Step, ...]
    is_cut: bool  # an earlier one was cut, or is on its way

    @cached_property
    def changing(self) -> tuple[Step, ...]:
        """Migrations beside which no program may run."""
        return tuple(step for step in self.steps if not step.older_may_run)


def alembic_config() -> "Config":
    """Configuration that names our migrations; the connection goes into ``attributes``."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def steps(after: str | None = None) -> list[Step]:
    """All migrations behind a revision, in their order; without one all that there are.

    Raises:
        UnknownRevisionError: there is no such revision.
    """
    if after == revisions.NEWEST:
        return []
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    script = ScriptDirectory.from_config(alembic_config())
    try:
        if after is not None:
            script.get_revision(after)
    except CommandError as error:
        raise UnknownRevisionError(str(error)) from error
    behind = reversed(list(script.iterate_revisions("heads", after or "base")))
    return [Step(one.revision, one.doc, one.module.older_may_run) for one in behind]


def plan(connection: Connection) -> Plan:
    """What an upgrade of this database would do.

    Raises:
        UnknownRevisionError: it has a revision that is not known.
    """
    there = revisions.found(connection)
    return Plan(there, tuple(steps(there)), revisions.is_cut(connection))


def migrate(
    engine: Engine,
    rows_per_range: int = partitions.ROWS_PER_RANGE,
    *,
    alone: bool = False,
    ended: Collection[str] = (),
    step_by_step: bool = False,
) -> list[str]:
    """Bring the schema to the newest version, and arrange the partitions; returns what was done to these.

    ``alone``: the caller knows that no other program runs. ``ended``: names of services of which the caller knows that
    they have ended, whatever the database heard from them last. ``step_by_step``: no migration is left out, as
    `new_database` would where nothing is yet.

    Raises:
        InUseError: running programs use what would be changed. Nothing was.
        UpgradingError: somebody else upgrades it.
        UnknownRevisionError: the database has a revision that is not known.
    """
    with database.changing(engine, LOCK_WAIT_S) as connection:
        if not step_by_step:
            new_database.make(connection)
        wanted = plan(connection)
        if wanted.steps:
            _upgrade(connection, wanted, None if alone else ended)
        views.make(connection)
        if wanted.is_cut or (wanted.steps and engine.dialect.name != "sqlite"):
            connection.execute(text(f"DROP TABLE IF EXISTS {revisions.PROGRESS}"))
    with database.changing(engine, LOCK_WAIT_S) as connection:
        return partitions.arrange(connection, rows_per_range, copies_all=True)


def _upgrade(connection: Connection, wanted: Plan, ended: Collection[str] | None) -> None:
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    newest = max((step.revision for step in steps() if not step.older_may_run), default=revisions.NEWEST)
    _require_unused(connection, wanted, ended)
    if connection.dialect.name == "sqlite":  # it alters no table that a view reads; all is one transaction there
        views.drop(connection)
    else:
        if not connection.scalar(_LOCK):
            raise UpgradingError("another session holds the lock of upgrades")
        _find_who_is_in_the_way(connection)
        was = revisions.oldest(connection) if revisions.has_upkeep(wanted.found) else None
        if was is not None and wanted.changing:  # a program that starts now hears of it when it says that it is there
            revisions.set_oldest(connection, newest)
        progress = UpgradeProgress(connection)
        config.attributes["progress"] = progress
        try:
            _require_unused(connection, wanted, ended)
        except InUseError:
            if not wanted.is_cut:
                if was is not None:
                    revisions.set_oldest(connection, was)
                progress.end()
            raise
    command.upgrade(config, "head")
    revisions.set_oldest(connection, newest)
    if connection.dialect.name == "sqlite":
        _require_references(connection)


def _require_unused(connection: Connection, wanted: Plan, ended: Collection[str] | None) -> None:
    if not wanted.changing or ended is None or not inspect(connection).has_table("service"):
        return
    services = [one for one in alive_services(connection) if one.name not in ended]
    if services:
        raise InUseError(wanted.changing, services)


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
    """Raise ``SchemaVersionError`` unless this program can use the schema."""
    with engine.connect().execution_options(**READ_ONLY) as connection:
        refused = revisions.refusal(connection, engine.url.render_as_string(hide_password=True))
    if refused is not None:
        raise SchemaVersionError(refused)
