"""Revisions of the schema, and which of them a program can use; without Alembic, whose import takes a tenth of a
second.

A revision is four digits, so that a later one is greater as text too. A database may be newer than a program, where all
migrations in between left alone what older programs use: the database says itself from which revision on that is so.
"""

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, select, table, update
from sqlalchemy.sql import column

from schema.base import table_of
from schema.upkeep import UPKEEP_ID, Upkeep

FOLDER = Path(__file__).parent / "migrations" / "versions"
FILE = re.compile(r"(\d{4})_\w+\.py")
ALEMBIC = "alembic_version"
PROGRESS = "upgrade_progress"  # a table that is there while an upgrade is on its way, or was cut
_upkeep = table_of(Upkeep)
_of_upkeep = _upkeep.c.upkeep_id == UPKEEP_ID


def _newest() -> str:
    return max(match[1] for file in FOLDER.iterdir() if (match := FILE.fullmatch(file.name)))


NEWEST = _newest()
"""The revision that this program was written for."""


def found(connection: Connection) -> str | None:
    """The database's; None where it has no schema."""
    if not inspect(connection).has_table(ALEMBIC):
        return None
    return connection.scalar(select(column("version_num")).select_from(table(ALEMBIC)))


def oldest(connection: Connection) -> str:
    """The revision from which on programs can use the database."""
    return str(connection.scalars(select(_upkeep.c.oldest_revision).where(_of_upkeep)).one())


def set_oldest(connection: Connection, revision: str) -> None:
    """Say from which revision on programs can use the database."""
    connection.execute(update(_upkeep).where(_of_upkeep).values(oldest_revision=revision))


def is_cut(connection: Connection) -> bool:
    """Whether an upgrade is on its way, or was cut."""
    return inspect(connection).has_table(PROGRESS)


def has_upkeep(revision: str | None) -> bool:
    """Whether a database of this revision has the table."""
    return revision is not None and revision >= "0025"


def refusal(connection: Connection, name: str) -> str | None:
    """Why this program cannot use the database called ``name``, and what to do; None if it can."""
    there = found(connection)
    if there is None:
        return f"database {name} has no Tianyu schema: run `tianyu init`"
    if there < NEWEST:
        begun = " An upgrade was begun and is not done." if is_cut(connection) else ""
        return (
            f"database {name} has schema version {there}, this Tianyu needs {NEWEST}:{begun} "
            "run `tianyu db upgrade`, or install the Tianyu that made it"
        )
    least = oldest(connection) if re.fullmatch(r"\d{4}", there) else there
    if least <= NEWEST:
        return None
    return (
        f"database {name} has schema version {there} and needs a program of version {least} or later, this Tianyu is "
        f"of {NEWEST}: install the Tianyu that made it"
    )


def outgrown(connection: Connection, program: str) -> str | None:
    """Why a program that runs can use the database no longer; None if it can. To be asked while it runs."""
    least = oldest(connection)
    if least <= NEWEST:
        return None
    return (
        f"the database is upgraded for programs of schema version {least} and later, and this {program} is of "
        f"{NEWEST}: start the {program} of the new Tianyu"
    )
