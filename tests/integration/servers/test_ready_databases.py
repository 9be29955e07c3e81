"""What a test borrows is what migrating gives, whatever the test before did to it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from tests.conftest import MARIADB, MYSQL, fresh_database
from tests.ready_databases import Content, ReadyDatabase, ReadyDatabases, migrate

SERVERS = pytest.mark.parametrize("engine", [MARIADB, MYSQL])
CHANGES = ("CREATE TABLE t (x INTEGER)", "DROP VIEW light_curve", "ALTER TABLE site ADD x INTEGER")
pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadyDatabases]:
    folder = tmp_path_factory.mktemp("ready")
    databases = ReadyDatabases(fresh_database, folder, folder)
    yield databases
    databases.close()


@SERVERS
def test_a_database_that_comes_back_is_as_new(databases: ReadyDatabases, engine: str, tmp_path: Path) -> None:
    with fresh_database(engine, tmp_path) as new:
        migrate(new)
        expected = Content.of(new)
    with databases.lend(engine, tmp_path) as first:
        assert Content.of(first) == expected
        user = create_engine(first)
        with user.begin() as connection:
            connection.execute(text("INSERT INTO site (name, root) VALUES ('s', '/')"))
            connection.execute(text("INSERT INTO target (kind, name) VALUES ('light', 'a'), ('light', 'b')"))
            connection.execute(text("UPDATE sky_registry SET registrations = 7"))
        holder = user.connect()
        holder.execute(text("UPDATE site SET root = '/b'"))  # holds the row's lock
    with databases.lend(engine, tmp_path) as second:
        assert second == first
        assert Content.of(second) == expected
    with pytest.raises(DBAPIError):
        holder.execute(text("SELECT 1"))
    holder.invalidate()
    user.dispose()


@SERVERS
def test_a_database_with_other_tables_is_not_lent_again(databases: ReadyDatabases, engine: str, tmp_path: Path) -> None:
    with databases.lend(engine, tmp_path) as first:
        kept = Content.of(first)
        user = create_engine(first, poolclass=NullPool)  # its sessions are ended with each renewal
        lent = ReadyDatabase.look(first)
        for change in CHANGES:
            assert lent.renew()
            with user.begin() as connection:
                connection.execute(text(change))
            assert not lent.renew()
            lent = ReadyDatabase.look(first)
        user.dispose()
    with databases.lend(engine, tmp_path) as second:
        assert make_url(second).database != make_url(first).database
        assert Content.of(second) == kept
    with pytest.raises(DBAPIError, match="Unknown database"):
        user.connect()


def _statements(database: sqlite3.Connection) -> list[list[str]]:
    """Of a dump; a table that was rebuilt has its constraints in any order."""
    return [sorted(line.strip(" \t,") for line in one.splitlines()) for one in database.iterdump()]


def test_a_file_is_a_copy_of_a_migrated_one(databases: ReadyDatabases, tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path / 'new.db'}")
    for name in ("one.db", "two.db"):
        databases.copy_sqlite(tmp_path / name)
        with sqlite3.connect(tmp_path / name) as copy, sqlite3.connect(tmp_path / "new.db") as new:
            assert _statements(copy) == _statements(new)
            copy.execute("INSERT INTO site (name, root) VALUES ('s', '/')")
