"""A database of the schema before choices were stored, with a graph in work: 0006 keeps it readable."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, text

from schema import database, partitions, versions, views
from schema.queries import life
from services.deployment import Deployment
from services.engine.consumer.worker import Worker
from tests.migration.made_before import take_back

BEFORE = "0005"
SOLVE, EXTRACT, INDEX = 11, 12, 13  # PIDs
POINTED = '{"template":9,"radec":"31.04d,46.69d"}'
ROWS = f"""
INSERT INTO site (site_id, name, root) VALUES (1, 'here', '/');
INSERT INTO process_group (group_id, name, description) VALUES (1, 'cpu', '');
INSERT INTO target (target_id, name, kind) VALUES (1, 'star', 'light');
INSERT INTO filter (filter_id, name) VALUES (1, 'R');
INSERT INTO instrument (instrument_id, name, telescope) VALUES (1, 'camera', '');
INSERT INTO observation (observation_id, target_id, filter_id, instrument_id, binning, exposure_s, night, graph_pid,
        created_at)
    VALUES (7, 1, 1, 1, '1x1', 20.0, '2026-11-20', {SOLVE}, '2026-11-21 01:00:00');
INSERT INTO process (pid, graph_pid, command, parameters, site_id, group_id, observation_id, status, priority, pending,
        propagated, attempt, max_attempts, created_at)
    VALUES ({SOLVE}, {SOLVE}, 'solve', '{POINTED}', 1, 1, 7, 'succeeded', 0, 0, 1, 1, 3, '2026-11-21 01:00:00'),
        ({EXTRACT}, {SOLVE}, 'extract', '{{"calibrated":8,"detected":9}}', 1, 1, 7, 'queued', 0, 0, 0, 0, 3,
            '2026-11-21 01:00:00'),
        ({INDEX}, {SOLVE}, 'solve_index', '{{"template":9,"radec":"31.04d,46.69d","before":[11]}}', 1, 1, 7, 'waiting',
            0, 0, 0, 0, 3, '2026-11-21 01:00:00');
INSERT INTO image (image_id, kind, site_id, path, path_digest, observation_id, good) VALUES
    (3, 'calibrated', 1, 'a', 'a', 7, 1);
INSERT INTO flux (source_id, image_id, aperture, flux, flag) VALUES (5, 3, 0, 1000.0, 0)
"""


@pytest.fixture
def engine(each_database_url: str) -> Iterator[Engine]:
    """Of the schema before."""
    engine = database.connect(each_database_url)
    config = versions.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
    with engine.begin() as connection:
        partitions.arrange(connection)
    with engine.begin() as connection:
        for statement in ROWS.replace(":", r"\:").split(";\n"):
            connection.execute(text(statement))
    yield engine
    engine.dispose()


def test_a_graph_in_work_is_kept_without_choices_refused_and_taken_back(engine: Engine, tmp_path: Path) -> None:
    """One test, for migrating takes a while."""
    versions.migrate(engine)
    versions.check_version(engine)
    assert_is_kept_without_choices(engine)
    assert_is_refused_with_the_command_that_helps(engine, tmp_path)
    take_back(engine, BEFORE)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM process")).scalar_one() == 3


def assert_is_kept_without_choices(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT pid, parameters, choices_id FROM process ORDER BY pid")).all()
        assert [tuple(row) for row in rows] == [
            (SOLVE, '{"template":9}', None),
            (EXTRACT, '{"calibrated":8,"detected":9}', None),
            (INDEX, '{"template":9,"before":[11]}', None),
        ]
        # Nobody asked for them anew, and what decided them is not known.
        rows = connection.execute(text("SELECT DISTINCT generation, result_key FROM process")).all()
        assert [tuple(row) for row in rows] == [(0, None)]
        assert connection.execute(text("SELECT flux FROM flux")).scalar_one() == 1000.0
        for view in views.VIEWS:
            connection.execute(text(f"SELECT * FROM {view}")).all()


def assert_is_refused_with_the_command_that_helps(engine: Engine, tmp_path: Path) -> None:
    with database.session_factory(engine).begin() as session:
        address = life.address(session, EXTRACT)
        assert address is not None
        site, group = address
        claim = life.claim(EXTRACT, 1, site=site, group=group, worker="w", host="h", version="v", lease_s=60.0).run(
            session
        )
    assert claim is not None
    url = engine.url.render_as_string(hide_password=False)
    report = Worker(Deployment(database_url=url, root=tmp_path)).run(claim)  # type: ignore[arg-type]
    assert report.failure is not None
    assert report.failure.error_class == "configuration"
    assert report.failure.message == (
        "process 12 (extract) was published by a Tianyu that did not store the choices with it: `tianyu publish 7 "
        "--again` publishes its observation again"
    )
