"""Upgrades say beside whom they may run, refuse where they may not, and go on where they were cut."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, event, text
from typer.testing import CliRunner

from schema import database, revisions, versions
from schema.queries import services
from schema.queries.services import announce
from schema.upgrade_progress import UpgradeProgress
from services.cli.app import app
from services.engine.presence import Announcer, introduce
from services.errors import ConfigurationError
from services.ingest.arrivals import Arrivals
from services.ingest.raw_folder import FrameReader
from services.operating.live.rhythm import Rhythm
from services.operating.live.watching import Watch
from services.settings import load
from tests.migration.test_schema import differences

BEFORE = "0019"
CHANGED_BY = ("0020", "0032")  # migrations behind it that change what programs use
ADDS = re.compile(
    r"CREATE TABLE (?P<table>\w+)|CREATE INDEX |ALTER TABLE \w+ ADD COLUMN (((?!NOT NULL).)*$|.*DEFAULT)"
    r"|(INSERT INTO|UPDATE) (?P<filled>\w+)"
)


@pytest.fixture
def engine(each_database_url: str) -> Iterator[Engine]:
    engine = database.connect(each_database_url)
    yield engine
    engine.dispose()


def upgrade_to(engine: Engine, revision: str) -> None:
    config = versions.alembic_config()
    with database.changing(engine, versions.LOCK_WAIT_S) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def say_alive(engine: Engine, alive_s: float = 60.0) -> str:
    """As a consumer of an earlier version does; returns its name."""
    name = "consumer:tel1:4711:ab12"
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO service (name, kind, state, host, version, group_names, slots, started_at, alive_until) "
                "VALUES (:name, 'consumer', 'active', 'tel1', '0.1.0', '[]', 4, :now, :until)"
            ),
            {
                "name": name,
                "now": "2026-11-20 21:00:00.000000",
                "until": f"{2026 + round(alive_s)}-11-20 21:00:00.000000",
            },
        )
    return name


def revision_of(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return revisions.found(connection)


def test_revisions_are_in_the_order_of_their_names() -> None:
    known = [step.revision for step in versions.steps()]
    assert known == sorted(known)
    assert known[-1] == revisions.NEWEST
    assert {step.older_may_run for step in versions.steps()} == {True, False}
    assert versions.steps(BEFORE)[0].revision == CHANGED_BY[0]


def test_migrations_beside_which_older_programs_may_run_only_add(ready_sqlite_url: str, tmp_path: Any) -> None:
    """By the statements that SQLite gets; each table, index and column is the same on servers."""
    engine = database.connect(f"sqlite:///{tmp_path / 'fresh.db'}")
    said: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        said.append(" ".join(statement.split()))

    wrong: dict[str, list[str]] = {}
    for step in versions.steps():
        said.clear()
        upgrade_to(engine, step.revision)
        made = {match["table"] for one in said if (match := ADDS.match(one)) and match["table"]} | {"alembic_version"}
        strange = []
        for one in said:
            match = ADDS.match(one)
            fits = match and (match["filled"] is None or match["filled"] in made)
            if not fits and not one.startswith(("SELECT", "PRAGMA", "BEGIN")):
                strange.append(one)
        if strange:
            wrong[step.revision] = strange
        if step.older_may_run:
            assert not strange, step
    assert {"0007", "0015", "0020"} <= wrong.keys()  # the rule sees what changes


class CutError(Exception):
    """The program was killed."""


@contextmanager
def cut_after(statements: int, *, executed: bool) -> Iterator[None]:
    """Kill the upgrade at a statement, before it or when the server has carried it out."""
    carried_out = 0
    real = UpgradeProgress.counting

    def counting(self: UpgradeProgress, execute: Callable[..., Any]) -> Callable[..., Any]:
        def dying(*args: Any, **options: Any) -> Any:
            nonlocal carried_out
            carried_out += 1
            if carried_out < statements:
                return execute(*args, **options)
            if executed:
                execute(*args, **options)
            raise CutError

        return real(self, dying)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UpgradeProgress, "counting", counting)
        yield


@pytest.mark.parametrize("each_database_url", ["mariadb", "mysql"], indirect=True)
def test_an_upgrade_of_a_server_is_refused_while_it_is_in_use_and_goes_on_wherever_it_was_cut(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade_to(engine, BEFORE)
    with engine.connect() as other:
        assert other.scalar(versions._LOCK)
        with pytest.raises(versions.UpgradingError):
            versions.migrate(engine)
        other.invalidate()
    monkeypatch.setattr(versions, "_find_who_is_in_the_way", lambda _: say_alive(engine))  # between the two looks
    with pytest.raises(versions.InUseError):
        versions.migrate(engine)
    monkeypatch.setattr(versions, "_find_who_is_in_the_way", lambda _: None)  # has tests of its own
    with pytest.raises(versions.InUseError):
        versions.migrate(engine)
    assert revision_of(engine) == BEFORE
    with engine.begin() as connection:
        assert not revisions.is_cut(connection)
        connection.execute(text("DELETE FROM service"))
        connection.execute(text("INSERT INTO target (target_id, name, kind) VALUES (1, 'star', 'light')"))
        connection.execute(text("INSERT INTO filter (filter_id, name) VALUES (1, 'R')"))
        connection.execute(text("INSERT INTO instrument (instrument_id, name, telescope) VALUES (1, 'camera', '')"))
        connection.execute(text("INSERT INTO site (site_id, name, root) VALUES (1, 'here', '/')"))
        connection.execute(
            text(
                "INSERT INTO observation (observation_id, target_id, filter_id, instrument_id, binning, exposure_s, "
                "night, site_id, created_at, setting, reduced) VALUES (7, 1, 1, 1, '1x1', 20, '2026-11-20', 1, "
                "'2026-11-21 01:00:00', '', '')"
            )
        )
    cuts = 0
    while True:
        try:  # it dies at the first, second or third statement that is left, before it or when it was carried out
            with cut_after(cuts % 3 + 1, executed=not cuts % 2):
                versions.migrate(engine)
        except CutError:
            cuts += 1
            with engine.connect() as connection:
                assert versions.plan(connection).is_cut
            with pytest.raises(versions.SchemaVersionError, match="upgrade was begun and is not done"):
                versions.check_version(engine)
        else:
            break
    assert cuts > 5
    assert differences(engine) == []
    versions.check_version(engine)
    with engine.connect() as connection:
        assert not revisions.is_cut(connection)
        assert revisions.oldest(connection) == CHANGED_BY[-1]
        assert connection.execute(text("SELECT observation_id, geometry FROM observation")).all() == [(7, "")]


@pytest.mark.parametrize("each_database_url", ["sqlite"], indirect=True)
def test_what_running_programs_use_is_not_changed_beside_them(engine: Engine) -> None:
    upgrade_to(engine, BEFORE)
    name = say_alive(engine)
    with pytest.raises(versions.InUseError) as refused:
        versions.migrate(engine)
    assert tuple(step.revision for step in refused.value.steps) == CHANGED_BY
    assert [(one.name, one.version, one.revision) for one in refused.value.services] == [(name, "0.1.0", None)]
    assert revision_of(engine) == BEFORE
    versions.migrate(engine, ended=[name])
    assert revision_of(engine) == revisions.NEWEST


@pytest.mark.parametrize("each_database_url", ["sqlite"], indirect=True)
def test_what_is_only_added_is_added_beside_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade_to(engine, CHANGED_BY[0])
    say_alive(engine)
    with pytest.raises(versions.InUseError):
        versions.migrate(engine)
    adding = [replace(step, older_may_run=True) for step in versions.steps(CHANGED_BY[0])]
    monkeypatch.setattr(versions, "steps", lambda *_: adding)
    versions.migrate(engine)
    assert revision_of(engine) == revisions.NEWEST


@pytest.fixture
def migrated(ready_sqlite_url: str) -> Iterator[Engine]:
    engine = database.connect(ready_sqlite_url)
    yield engine
    engine.dispose()


def test_an_older_program_uses_what_was_only_added_to(migrated: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with migrated.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    versions.check_version(migrated)
    with migrated.begin() as connection:
        revisions.set_oldest(connection, "9998")
    with pytest.raises(
        versions.SchemaVersionError, match=rf"9999 and needs a program of version 9998.*{revisions.NEWEST}"
    ):
        versions.check_version(migrated)


def test_a_program_that_runs_leaves_an_upgraded_database(migrated: Engine) -> None:
    stopped = []
    sessions = database.session_factory(migrated)
    announcer = Announcer(sessions, introduce(services.CONSUMER), services.ACTIVE, 60.0, lambda: stopped.append(1))
    with sessions.begin() as session:
        announcer._announce(session)
    assert announcer.refusal is None
    with migrated.begin() as connection:
        revisions.set_oldest(connection, "9998")
    for _ in range(2):
        with sessions.begin() as session:
            announcer._announce(session)
    assert stopped == [1]
    assert isinstance(announcer.refusal, ConfigurationError)
    assert "9998" in str(announcer.refusal)
    assert revisions.NEWEST in str(announcer.refusal)


def test_a_watch_ends_where_its_database_was_upgraded(migrated: Engine, tmp_path: Path) -> None:
    settings = load(database_url=migrated.url.render_as_string(), root=tmp_path)
    watch = Watch(migrated, settings, Arrivals(tmp_path, FrameReader()), Rhythm(), lambda _: None)
    with migrated.begin() as connection:
        revisions.set_oldest(connection, "9998")
    with pytest.raises(ConfigurationError, match="this watch is of"):
        watch.run()


@pytest.mark.parametrize("each_database_url", ["sqlite"], indirect=True)
def test_the_commands_say_what_they_would_do(
    engine: Engine, each_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIANYU_DATABASE_URL", each_database_url)
    upgrade_to(engine, BEFORE)
    name = say_alive(engine)

    def tianyu(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, words)
        return result.exit_code, result.output

    code, said = tianyu("db", "status")
    assert code == 1
    assert f"schema     {BEFORE}; this Tianyu needs {revisions.NEWEST}" in said
    assert re.search(rf"{CHANGED_BY[0]} changes, stop programs first: Frames", said)
    assert re.search("0021 adds, running programs go on: ", said)
    assert f"alive: consumer {name} (Tianyu 0.1.0, schema older than 0025" in said
    assert tianyu("db", "upgrade", "--plan")[0] == 0
    code, said = tianyu("db", "upgrade")
    assert code == 1
    assert f"({CHANGED_BY[0]}, frames are read" in said
    assert name in said
    assert revision_of(engine) == BEFORE
    assert tianyu("db", "upgrade", "--ended", name)[0] == 0
    assert tianyu("db", "status")[0] == 0
    with database.session_factory(engine).begin() as session:
        announce(session, introduce(services.MANAGER), services.ACTIVE, alive_s=60.0)
    assert f"schema {revisions.NEWEST};" in tianyu("db", "status")[1]
