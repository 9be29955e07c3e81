"""Retention by policy: each rule by its own days, nothing that anything needs, by whoever may and sees the disk."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, func, select, text, update
from typer.testing import CliRunner

from schema import database
from schema.image import CALIBRATED, STACKED
from schema.processes import FAILED, WAITING, Process, ProcessAttempt
from schema.queries import old_attempts
from schema.retention import RetentionRun
from services.cli.app import app
from services.deployment import Retention
from services.errors import ConfigurationError
from services.operating.housekeeping import retention_keeper
from services.operating.housekeeping.retention import Gone, carry_out
from services.operating.housekeeping.retention_keeper import RetentionKeeper
from services.settings import Settings, as_environment
from tests.integration import json_keys
from tests.integration.housekeeping.house import CONTENT, HERE, House

OLD, YOUNG = 40.0, 20.0  # days
LIMIT = 30.0


def settings(house: House, **days: float) -> Settings:
    return house.settings.model_copy(update={"retention": Retention(**days)})


def kept(house: House, **days: float) -> set[str]:
    """Files that are left when the policy was carried out."""
    carry_out(house.engine, settings(house, **days))
    assert house.live() <= house.there()
    return house.there()


def runs(house: House) -> list[RetentionRun]:
    with house.sessions() as session:
        return list(session.scalars(select(RetentionRun).order_by(RetentionRun.run_id)))


@pytest.fixture
def files(house: House) -> dict[str, str]:
    """Of each kind of file one that is old and one that is young; the graph that counts is the second."""
    seen = house.observation(2)
    house.file("raw/frame.fits", OLD * 86_400)
    found = {
        "replaced": house.image(1, seen, STACKED, graph=1, days=OLD),
        "replaced young": house.image(2, seen, STACKED, graph=1, days=YOUNG),
        "template": house.image(3, seen, "template", graph=2, days=OLD),
        "partial": house.image(4, seen, STACKED, graph=2, days=OLD),
        "partial young": house.image(5, seen, STACKED, graph=2, days=YOUNG),
        "calibrated": house.image(6, seen, CALIBRATED, graph=2, days=OLD),
        "calibrated young": house.image(7, seen, CALIBRATED, graph=2, days=YOUNG),
        "reference": house.image(8, seen, CALIBRATED, graph=2, days=OLD, reference=3),
        "raw": "raw/frame.fits",
    }
    house.process(9, seen, graph=2, status=FAILED)
    found["leftover"], found["leftover young"] = (f"{CALIBRATED}/{seen}/{pid}.fits" for pid in (9, 10))
    house.process(10, seen, graph=2, status=FAILED)
    house.file(found["leftover"], OLD * 86_400)
    house.file(found["leftover young"], YOUNG * 86_400)
    return found


@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        ("calibrated_days", {"calibrated"}),
        ("partial_days", {"partial", "replaced"}),
        ("replaced_images_days", {"replaced"}),
        ("leftover_days", {"leftover"}),
        ("attempts_days", set()),
        ("replaced_rows_days", set()),
    ],
)
def test_a_rule_lets_go_what_it_names_when_it_is_old(
    house: House, files: dict[str, str], rule: str, gone: set[str]
) -> None:
    assert kept(house, **{rule: LIMIT}) == {path for name, path in files.items() if name not in gone}


@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
def test_without_a_policy_nothing_goes(house: House, files: dict[str, str]) -> None:
    assert Settings().retention is None
    with pytest.raises(ConfigurationError, match=r"no retention is set.*\[retention\]"):
        carry_out(house.engine, house.settings)
    assert kept(house) == set(files.values())  # nor by one without days


@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
def test_what_somebody_needs_or_works_at_stays(house: House) -> None:
    seen, at_work = house.observation(1), house.observation(2)
    needed = house.image(1, seen, CALIBRATED, graph=1, days=OLD)
    free = house.image(2, seen, CALIBRATED, graph=1, days=OLD)
    house.process(3, seen, 1, graph=1, status=FAILED)  # may be retried, and opens it
    others = house.image(4, at_work, CALIBRATED, graph=2, days=OLD)
    house.process(5, at_work, graph=2, status=WAITING)
    assert kept(house, calibrated_days=LIMIT) == {needed, others}
    house.set_status(5, FAILED)
    assert kept(house, calibrated_days=LIMIT) == {needed}
    assert free not in house.live()


def test_a_dry_run_tells_all_and_changes_nothing(house: House, files: dict[str, str]) -> None:
    policy = settings(house, calibrated_days=LIMIT, partial_days=LIMIT, leftover_days=LIMIT, attempts_days=LIMIT)
    told = carry_out(house.engine, policy, dry_run=True)
    assert house.there() == set(files.values())
    assert runs(house) == []
    size = len(CONTENT)
    assert told.gone == [
        Gone("calibrated_days", 1, CALIBRATED, 1, size),
        Gone("partial_days", 1, STACKED, 2, 2 * size),
        Gone("leftover_days", 1, CALIBRATED, 1, size),
    ]
    assert carry_out(house.engine, policy) == told
    [run] = runs(house)
    assert (run.site_id, run.files, run.size_bytes, run.failures) == (HERE, 4, 4 * size, None)
    assert (run.deleted_rows, run.deleted_attempts) == (0, 0)
    assert run.started_at <= run.finished_at


@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
def test_a_file_that_cannot_be_removed_is_told_and_recorded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.image(1, house.observation(1), STACKED, days=OLD)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.unlink", refuse)
    outcome = carry_out(house.engine, settings(house, partial_days=LIMIT))
    [run] = runs(house)
    assert outcome.failures == [run.failures]
    assert "cannot be removed: Permission denied" in str(run.failures)


def add_attempts(house: House, pid: int) -> None:
    with house.sessions.begin() as session:
        ended = session.scalars(select(Process.finished_at).where(Process.pid == pid)).one()
        for number in (1, 2):
            session.add(
                ProcessAttempt(
                    pid=pid, attempt=number, worker="w", host="h", version="0",
                    started_at=ended or Process.created_at, finished_at=ended, outcome="succeeded",
                )
            )  # fmt: skip


def test_attempts_of_what_succeeded_long_ago_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_attempts, "PROCESSES_AT_A_TIME", 2)
    seen = house.observation(1)
    old = [house.process(pid, seen, days=OLD) for pid in range(1, 6)]
    young, failed, untold = (house.process(pid, seen, days=days) for pid, days in ((6, YOUNG), (7, OLD), (8, OLD)))
    for pid in (*old, young, failed, untold):
        add_attempts(house, pid)
    house.set_status(failed, FAILED)
    with house.sessions.begin() as session:
        session.execute(update(Process).where(Process.pid == untold).values(propagated=False))
    policy = settings(house, attempts_days=LIMIT)
    expected = [Gone("attempts_days", None, "attempts", rows=10)]
    assert carry_out(house.engine, policy, dry_run=True).gone == expected
    assert carry_out(house.engine, policy).gone == expected
    with house.sessions() as session:
        left = session.execute(select(ProcessAttempt.pid, func.count()).group_by(ProcessAttempt.pid)).all()
    assert [tuple(row) for row in left] == [(young, 2), (failed, 2), (untold, 2)]
    assert runs(house)[0].deleted_attempts == 10


def test_the_manager_carries_it_out_when_it_is_time(house: House, files: dict[str, str]) -> None:
    keeper = RetentionKeeper(house.engine, settings(house, calibrated_days=LIMIT, every_h=1.0), lambda: True)
    keeper.look()
    assert house.there() == set(files.values()) - {files["calibrated"]}
    again = house.image(20, 1, CALIBRATED, graph=2, days=OLD)
    keeper.look()
    assert again in house.there()
    with house.sessions.begin() as session:
        session.execute(update(RetentionRun).values(finished_at=RetentionRun.started_at))
        session.execute(text("UPDATE retention_run SET finished_at = '2026-01-01 00:00:00.000000'"))
    keeper.look()
    assert again not in house.there()
    assert len(runs(house)) == 2


@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
def test_a_manager_that_is_not_active_any_more_leaves_the_rest(
    house: House, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_keeper, "PAUSE_S", 0.0)
    RetentionKeeper(house.engine, settings(house, calibrated_days=LIMIT, partial_days=LIMIT), lambda: False).look()
    assert files["partial"] in house.there()
    assert runs(house) == []


@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
def test_a_manager_without_the_disk_removes_attempts_alone(
    house: House, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(retention_keeper.log, "warning", lambda words, reason: said.append(f"{words}: {reason}"))
    add_attempts(house, 3)
    policy = settings(house, calibrated_days=LIMIT, attempts_days=LIMIT, every_h=0.001)
    keeper = RetentionKeeper(house.engine, policy.model_copy(update={"root": tmp_path / "else"}), lambda: True)
    keeper.look()
    keeper.look()
    assert house.there() == set(files.values())
    assert [(run.site_id, run.deleted_attempts) for run in runs(house)] == [(None, 2)]
    [line] = said
    assert "no images are removed from here" in line
    assert "`tianyu gc --policy`" in line


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)
def test_a_manager_that_may_not_delete_says_so_once(
    house: House, engine: Engine, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(retention_keeper.log, "warning", lambda words, reason: said.append(f"{words}: {reason}"))
    name, schema = f"tianyu_{uuid4().hex[:16]}", engine.url.database
    with engine.begin() as administrator:
        administrator.execute(text(f"CREATE USER {name} IDENTIFIED BY 'secret'"))
        administrator.execute(text(f"GRANT SELECT ON `{schema}`.* TO {name}"))
    limited = database.connect(engine.url.set(username=name, password="secret").render_as_string(hide_password=False))
    try:
        keeper = RetentionKeeper(limited, settings(house, calibrated_days=LIMIT), lambda: True)
        keeper.look()
        keeper.look()
        assert house.there() == set(files.values())
        [line] = said
        assert "this user may not delete: run `tianyu gc --policy` by a timer as an operator" in line
    finally:
        limited.dispose()
        with engine.begin() as administrator:
            administrator.execute(text(f"DROP USER {name}"))


@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
def test_the_command_goes_by_the_settings_alone(
    house: House, engine: Engine, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed(*words: str, **days: float) -> Any:
        given = settings(house, **days) if days else house.settings
        for name, value in as_environment(given).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TIANYU_DATABASE_URL", str(engine.url))
        return CliRunner().invoke(app, ["gc", "--policy", *words])

    assert "no retention is set" in typed("--dry-run").stderr
    refused = typed("--rows", calibrated_days=LIMIT)
    assert (refused.exit_code, "--policy goes by the settings alone" in refused.stderr) == (1, True)
    dry = typed("--dry-run", "--json", calibrated_days=LIMIT)
    data = json_keys.parse(dry.stdout)
    json_keys.check("tianyu gc --policy", data)
    assert (data["dry_run"], [one["files"] for one in data["gone"]]) == (True, [1])
    assert house.there() == set(files.values())
    done = typed(calibrated_days=LIMIT)
    assert done.exit_code == 0, done.output
    assert "1 files, 0.0 MB, and 0 rows were deleted" in done.stdout
    assert house.there() == set(files.values()) - {files["calibrated"]}
