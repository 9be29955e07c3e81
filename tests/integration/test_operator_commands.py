"""The commands of operators as they are typed: what they say, what they change, and what they refuse."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner, Result

from schema import database
from schema.attempts import Failure, Usage
from schema.observing import Observation
from schema.processes import CANCELLED, QUEUED, SKIPPED, WAITING, Process, ProcessGroup
from schema.queries import life, publishing, scheduling
from schema.queries.publishing import NewProcess
from schema.queries.services import ACTIVE, CONSUMER, MANAGER, announce
from services.cli.app import app
from services.engine.presence import introduce
from services.settings import load
from services.setup import initialise, open_engine

RUNNER = CliRunner()
Sessions = sessionmaker[Session]


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sessions:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", f"sqlite:///{tmp_path / 'tianyu.db'}")
    monkeypatch.setenv("TIANYU_ROOT", str(tmp_path / "root"))
    settings = load()
    engine = open_engine(settings)
    initialise(settings, engine)
    made = database.session_factory(engine)
    with made.begin() as session:
        session.add(ProcessGroup(name="gpu"))
        publishing.publish(
            session,
            [_process(1), _process(2, 1), _process(3, 2), _process(4)],
            site=settings.site,
            choices_id=None,
        )
    return made


def _process(pid: int, *required: int) -> NewProcess:
    return NewProcess(
        pid=pid, graph_pid=1, command="check", parameters="{}", group="cpu", observation_id=None, required=required
    )


def tianyu(*words: str) -> Result:
    return RUNNER.invoke(app, words, catch_exceptions=False)


def said(result: Result) -> str:
    return " ".join(result.output.split())


def states(sessions: Sessions) -> dict[int, str]:
    with sessions() as session:
        return dict(session.execute(select(Process.pid, Process.status)).all())


def advance(sessions: Sessions) -> None:
    with sessions.begin() as session:
        scheduling.advance(session, 100).run(session)


def fail(sessions: Sessions, pid: int, failure: Failure, retry_in_s: float | None = None) -> None:
    with sessions.begin() as session:
        attempt = session.get_one(Process, pid).attempt + 1
        assert life.claim(
            pid, attempt, site="local", group="cpu", worker="w-1", host="dome", version="9.8", lease_s=60.0
        ).run(session)
        usage = Usage(1.25, 0.5, 123_400_000, 5_000_000, 0)
        assert life.fail(pid, attempt, failure, retry_in_s=retry_in_s, usage=usage).run(session)


def test_pause_and_resume(sessions: Sessions) -> None:
    advance(sessions)
    result = tianyu("pause", "cpu")
    assert (result.exit_code, said(result)) == (
        0,
        "group cpu of site local is paused; 2 queued processes went back to waiting",
    )
    assert set(states(sessions).values()) == {WAITING}
    assert "was paused before; 0 queued" in said(tianyu("pause", "cpu"))
    assert "paused since" in said(tianyu("logs", "1"))
    assert said(tianyu("resume", "cpu")) == "group cpu of site local goes on"
    assert said(tianyu("resume", "cpu")) == "group cpu of site local was not paused"
    advance(sessions)
    assert states(sessions) == {1: QUEUED, 2: WAITING, 3: WAITING, 4: QUEUED}


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_unknown_groups_and_sites_are_named_with_the_known_ones(sessions: Sessions, verb: str) -> None:
    result = tianyu(verb, "cqu")
    assert result.exit_code == 1
    assert "there is no group 'cqu': known are cpu, gpu" in said(result)
    assert "there is no site 'moon': known are local" in said(tianyu(verb, "cpu", "--site", "moon"))


def test_retry_and_cancel_say_what_they_left(sessions: Sessions) -> None:
    advance(sessions)
    fail(sessions, 1, Failure("data", "bad frame"))
    advance(sessions)
    result = tianyu("retry", "3", "4")
    assert result.exit_code == 1
    assert "process 3 is skipped and requires 2, which did not succeed: retry that" in said(result)
    assert "process 4 is queued 0 processes sent back" in said(result)
    assert "3 processes sent back to waiting" in said(tianyu("retry", "--failed"))
    assert tianyu("retry", "--failed").exit_code == 1
    assert "process 9 is" not in said(tianyu("cancel", "2"))
    assert states(sessions)[2] == CANCELLED
    assert "process 2 is cancelled 0 processes cancelled" in said(tianyu("cancel", "2"))
    assert "1 process sent back" in said(tianyu("retry", "--cancelled"))


def test_pids_that_there_are_not_change_nothing(sessions: Sessions) -> None:
    result = tianyu("cancel", "1", "77", "78")
    assert result.exit_code == 1
    assert "there is no process 77, 78: nothing was changed" in said(result)
    assert states(sessions)[1] == WAITING
    assert "there is no process 77" in said(tianyu("retry", "77"))


@pytest.mark.parametrize(
    "words", [("retry",), ("retry", "1", "--failed"), ("cancel",), ("cancel", "1", "--observation", "1")]
)
def test_what_to_change_is_said_once(sessions: Sessions, words: tuple[str, ...]) -> None:
    result = tianyu(*words)
    assert result.exit_code == 1
    assert "give either PIDs" in said(result)


@pytest.mark.parametrize("words", [("retry", "--failed"), ("retry", "--cancelled"), ("cancel",)])
def test_an_observation_that_there_is_not_is_an_error(sessions: Sessions, words: tuple[str, ...]) -> None:
    result = tianyu(*words, "--observation", "99")
    assert result.exit_code == 1
    assert "there is no observation 99: nothing was changed" in said(result)


def test_who_finds_nothing_to_do_is_told_what_there_was_not(sessions: Sessions) -> None:
    assert "nothing in the newest graph of any observation is failed 0 processes" in said(tianyu("retry", "--failed"))
    assert "--observation goes with --failed" in said(tianyu("retry", "1", "--observation", "3"))


def test_health_is_that_of_the_services_of_this_host(sessions: Sessions) -> None:
    assert tianyu("health").exit_code == 1
    with sessions.begin() as session:
        announce(session, introduce(MANAGER), ACTIVE, alive_s=60.0)
        announce(session, introduce(CONSUMER), ACTIVE, alive_s=-1.0)  # silent beyond its lease
        announce(session, replace(introduce(CONSUMER), host="elsewhere"), ACTIVE, alive_s=60.0)
    assert (tianyu("health").exit_code, tianyu("health", "manager").exit_code) == (0, 0)
    result = tianyu("health", "consumer")
    assert result.exit_code == 1
    assert "no consumer of host" in said(result)
    tianyu("pause", "cpu")
    assert tianyu("health").exit_code == 0  # what people hold is no illness


def test_health_without_a_database_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIANYU_DATABASE_URL", "mysql+pymysql://root@127.0.0.1:1/nowhere")
    result = tianyu("health")
    assert result.exit_code == 1
    assert "cannot be used" in said(result)


def test_only_the_newest_graph_of_an_observation_is_retried(sessions: Sessions) -> None:
    with sessions.begin() as session:
        from tests.unit.services import made_up

        number = made_up.add_observation(session)
        for pid, graph in ((11, 10), (12, 10), (21, 20)):
            made_up.add_process(session, pid, "check", "failed", number, graph_pid=graph)
        assert session.get(Observation, number) is not None
    assert "1 process sent back" in said(tianyu("retry", "--failed"))
    assert {pid: state for pid, state in states(sessions).items() if pid > 10} == {
        11: "failed",
        12: "failed",
        21: WAITING,
    }
    assert "1 process cancelled" in said(tianyu("cancel", "--observation", str(number)))


def test_what_waits_for_its_next_attempt_is_tried_at_once_when_it_is_named(sessions: Sessions) -> None:
    advance(sessions)
    fail(sessions, 1, Failure("surroundings", "disk away"), retry_in_s=600.0)
    advance(sessions)
    assert states(sessions)[1] == WAITING
    assert "nothing in the newest graph of any observation is failed" in said(tianyu("retry", "--failed"))
    assert said(tianyu("retry", "1")) == "1 process sent back to waiting"
    assert "process 1 is waiting 0 processes" in said(tianyu("retry", "1"))  # for nothing but the manager
    advance(sessions)
    assert states(sessions)[1] == QUEUED


def test_logs_tell_each_attempt(sessions: Sessions) -> None:
    advance(sessions)
    fail(sessions, 1, Failure("transient", "disk away", "Traceback (most recent call last):\n  boom"), retry_in_s=0.0)
    advance(sessions)
    fail(sessions, 1, Failure("data", "frame [red]x[/] is torn"))
    advance(sessions)
    text = tianyu("logs", "1").output
    assert "process 1: check, failed" in text
    assert text.count("by w-1 on dome, version 9.8") == 2
    assert text.count("1.250 s, 0.500 s CPU, peak memory 123.4 MB, 5.0 MB read, 0.0 MB written") == 2
    assert "error        transient: disk away\n    Traceback (most recent call last):\n      boom" in text
    assert "error        data: frame [red]x[/] is torn" in text
    assert "attempts     2, at most 3" in text
    assert "process 3: check, skipped" in tianyu("logs", "3").output
    found = json.loads(tianyu("logs", "1", "--json").output)
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["failed", "failed"]
    assert found["attempts"][0]["traceback"].endswith("boom")
    assert found["attempts"][1]["max_rss_bytes"] == 123_400_000
    assert (found["status"], found["error"], found["origin_pid"]) == ("failed", "frame [red]x[/] is torn", None)
    assert found["attempts"][0]["started_at"].endswith("Z")


def test_logs_tell_what_a_process_waits_for(sessions: Sessions) -> None:
    advance(sessions)
    assert "waits for    check 1 (queued)" in tianyu("logs", "2").output
    assert json.loads(tianyu("logs", "2", "--json").output)["waits_for"] == [
        {"pid": "1", "command": "check", "status": "queued", "required": True}
    ]
    with sessions.begin() as session:
        publishing.publish(session, [_process(pid) for pid in range(100, 112)], site="local", choices_id=None)
        publishing.publish(session, [_process(200, *range(100, 112))], site="local", choices_id=None)
        session.get_one(Process, 200).origin_pid = 42
    text = tianyu("logs", "200").output
    assert "waits for    12 check (waiting)" in text
    assert "from process 42: `tianyu logs 42`" in text


def test_logs_of_nothing(sessions: Sessions) -> None:
    result = tianyu("logs", "5")
    assert result.exit_code == 1
    assert "there is no process 5: `tianyu status` names the PIDs" in said(result)
    assert SKIPPED not in states(sessions).values()
