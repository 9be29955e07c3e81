"""The migrated schema equals the models, and the views keep their contract, on every engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from schema import database, new_database, partitions, revisions, versions
from schema.models import metadata
from schema.versions import SchemaVersionError
from tests.migration.made_before import take_back
from tests.migration.new_sqlite import in_any_order, statements
from tests.migration.new_sqlite import migrated as all_migrations

VIEWS = {
    "light_curve": (
        "observation_id source_id image_id jd_utc bjd_tdb aperture flux_raw flux_raw_error flux_relative "
        "flux_relative_error reference_group is_reference flag image_good"
    ),
    "source_catalog": ("source_id sky_id x y ra dec flux flux_error gaia_source_id gaia_distance_arcsec gaia_variable"),
    "source_place": "observation_id source_id x y template_x template_y flux first_image_id",
    "process_summary": ("observation_id command status count seconds cpu_seconds max_rss_bytes read_bytes write_bytes"),
}


@pytest.fixture
def engine(each_database_url: str) -> Iterator[Engine]:
    engine = database.connect(each_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def migrated(each_ready_url: str) -> Iterator[Engine]:
    """For tests that look at what the migrations have made."""
    engine = database.connect(each_ready_url)
    yield engine
    engine.dispose()


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))


def test_migrations_make_what_the_models_say_and_take_it_back(engine: Engine) -> None:
    """One test, for migrating takes a while."""
    assert differences(engine)  # an empty database differs: the comparison is able to fail
    with pytest.raises(SchemaVersionError, match="run `tianyu init`"):
        versions.check_version(engine)
    versions.migrate(engine)
    assert_equals_the_models(engine)
    versions.migrate(engine)  # again, which changes nothing
    versions.check_version(engine)
    assert_equals_the_models(engine)
    take_back(engine, "base")
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}


def assert_equals_the_models(engine: Engine) -> None:
    assert differences(engine) == []
    with engine.connect() as connection:
        inspector = inspect(connection)
        for name, table in metadata.tables.items():
            indexes = {index["name"] for index in inspector.get_indexes(name)}
            assert {index.name for index in table.indexes} <= indexes


@pytest.mark.parametrize("view", VIEWS)
def test_views_have_the_columns_of_the_contract(migrated: Engine, view: str) -> None:
    with migrated.connect() as connection:
        columns = list(connection.execute(text(f"SELECT * FROM {view}")).keys())
    expected = VIEWS[view].split()
    assert columns[: len(expected)] == expected


def test_a_new_database_of_sqlite_is_what_the_migrations_make(tmp_path: Path) -> None:
    """`python -m tests.migration.new_sqlite` writes the file anew."""
    assert in_any_order(new_database.FILE.read_text()) == in_any_order(all_migrations())
    engine = database.connect(f"sqlite:///{tmp_path}/new.db")
    versions.migrate(engine)
    assert statements(tmp_path / "new.db") == new_database.FILE.read_text()
    assert differences(engine) == []
    engine.dispose()


def test_newer_migrations_run_behind_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tmp_path / "before.db"
    engine = database.connect(f"sqlite:///{before}")
    config = versions.alembic_config()
    with database.changing(engine, versions.LOCK_WAIT_S) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, versions.steps()[-3].revision)
    engine.dispose()
    older = tmp_path / "older.sql"
    older.write_text(statements(before))
    monkeypatch.setattr(new_database, "FILE", older)
    engine = database.connect(f"sqlite:///{tmp_path}/new.db")
    versions.migrate(engine)
    versions.check_version(engine)
    assert differences(engine) == []
    engine.dispose()


def test_what_is_no_empty_database_is_left_to_the_migrations(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite:///{tmp_path}/used.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE of_somebody_else (number INTEGER)"))
    versions.migrate(engine)
    with engine.begin() as connection:
        assert inspect(connection).has_table("of_somebody_else")
    assert [kind for kind, *_ in differences(engine)] == ["remove_table"]
    engine.dispose()


def test_a_schema_of_another_version_is_refused(migrated: Engine) -> None:
    with migrated.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        revisions.set_oldest(connection, "9999")
    with pytest.raises(SchemaVersionError, match=r"9999.*needs"):
        versions.check_version(migrated)


def test_measurements_are_partitioned_ahead_of_the_images(migrated: Engine) -> None:
    engine = migrated
    newest = 3 * partitions.IMAGES_AT_FIRST + 5
    with engine.begin() as connection:
        found = partitions.look(connection)
        if engine.dialect.name == "sqlite":
            assert found == []
            return
        assert [one.room for one in found] == [2 * partitions.IMAGES_AT_FIRST - 1] * 2
        connection.execute(text("INSERT INTO site (name, root) VALUES ('s', '/')"))
        connection.execute(
            text("INSERT INTO image (image_id, kind, site_id, path, path_digest) VALUES (:id, 'light', 1, 'a', 'a')"),
            {"id": newest},
        )
        rows = [{"i": image} for image in (1, newest, 10**7)]
        connection.execute(
            text("INSERT INTO flux (source_id, image_id, aperture, flux, flag) VALUES (1, :i, 0, 1.0, 0)"), rows
        )
        assert [one.beyond for one in partitions.look(connection)] == [2, 0]
    assert "table flux: 2 ranges added" in "".join(versions.migrate(engine))
    with engine.begin() as connection:
        found = partitions.look(connection)
        assert [one.beyond for one in found] == [1, 0]
        assert min(one.room for one in found) >= partitions.IMAGES_AT_FIRST
        assert connection.execute(text("SELECT COUNT(*) FROM flux")).scalar_one() == 3
    versions.migrate(engine)  # what was added for images that gave nothing has become one
    assert versions.migrate(engine) == []


def test_names_are_case_sensitive(migrated: Engine) -> None:
    with migrated.begin() as connection:
        connection.execute(text("INSERT INTO filter (name) VALUES ('R'), ('r')"))
        assert connection.execute(text("SELECT COUNT(*) FROM filter WHERE name = 'R'")).scalar_one() == 1
