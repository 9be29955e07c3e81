"""A database in which two sites shared an observation: 0015 gives each its own, with what it made."""

from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from schema import database, versions
from tests.migration import made_before

BEFORE = "0014"
PID = 9_000_000_000_000_000_000  # of the second site's graph
LIGHT = (
    "SELECT MAX(o.observation_id) FROM observation o JOIN target t ON t.target_id = o.target_id WHERE t.kind = 'light'"
)
OF = "FROM observation WHERE observation_id = :number"
JOINING = f"""
INSERT INTO site (site_id, name, root) VALUES (7, 'west', '/west');
INSERT INTO image (kind, site_id, path, path_digest, observation_id)
    SELECT kind, 7, path, SUBSTR(path_digest, 2), observation_id FROM image
    WHERE pid IS NULL AND observation_id = :light;
INSERT INTO process (pid, graph_pid, command, parameters, site_id, group_id, observation_id, status, priority, pending,
        propagated, attempt, max_attempts, created_at, generation)
    VALUES ({PID}, {PID}, 'detect', '{{}}', 7, 1, :light, 'failed', 0, 0, 1, 1, 3, '2026-11-21 01:00:00', 0);
INSERT INTO aperture (graph_pid, aperture, observation_id, radius, annulus_inner, annulus_outer)
    VALUES ({PID}, 0, :light, 3, 6, 9);
UPDATE observation SET zero_point_pid = {PID} WHERE observation_id = :light
"""


@pytest.fixture
def engine(each_database_url: str) -> Iterator[Engine]:
    """Of the version before, with a second site's copy of the frames, and its graph, in the first one's observation."""
    engine = database.connect(each_database_url)
    made_before.load(engine, "0005")
    config = versions.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
        light = connection.execute(text(LIGHT)).scalar_one()
        for statement in JOINING.split(";\n"):
            connection.execute(text(statement), {"light": light})
    yield engine
    engine.dispose()


def rows(engine: Engine, query: str, **values: Any) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]


def test_each_site_gets_its_own_observation_with_what_it_made(engine: Engine) -> None:
    [(light,)] = rows(engine, LIGHT)
    shown = rows(
        engine, "SELECT graph_pid, calibration_pid FROM observation WHERE observation_id = :light", light=light
    )
    versions.migrate(engine)
    sites = dict(rows(engine, "SELECT observation_id, site_id FROM observation"))
    assert [number for number, site in sites.items() if site == 7] == [max(sites)]
    assert set(sites.values()) == {1, 7}
    second = max(sites)
    for table in ("image", "process"):
        query = f"SELECT COUNT(*) FROM {table} t JOIN observation o ON o.observation_id = t.observation_id WHERE "
        assert rows(engine, query + "o.site_id <> t.site_id") == [(0,)]
    counts = dict(rows(engine, "SELECT observation_id, COUNT(*) FROM image WHERE pid IS NULL GROUP BY observation_id"))
    assert counts[light] == counts[second]
    assert rows(engine, "SELECT observation_id FROM aperture WHERE graph_pid = :pid", pid=PID) == [(second,)]
    points = f"SELECT graph_pid, calibration_pid, zero_point_pid {OF}"
    assert rows(engine, points, number=light) == [(*shown[0], None)]
    assert rows(engine, points, number=second) == [(PID, None, PID)]
    same = (
        "SELECT target_id, filter_id, instrument_id, exposure_s, binning, night FROM observation WHERE observation_id"
    )
    assert rows(engine, f"{same} = :light", light=light) == rows(engine, f"{same} = :second", second=second)
    with engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(
            text("UPDATE observation SET site_id = 1 WHERE observation_id = :second"), {"second": second}
        )
    # Rows that refer to observations are looked after again.
    with engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(text("UPDATE image SET observation_id = 99"))
