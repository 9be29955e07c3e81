"""`tianyu status` as it is printed."""

import json
import sys
from typing import Any

import pytest
import typer
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from schema.base import utc_now
from schema.observing import Observation
from schema.processes import Lease, Process
from services.cli.patience import Patience
from services.cli.status_command import status as command
from services.operating.status import Hindered, Overview, Stuck
from tests.unit.services import made_up
from tests.unit.services.made_up import BEGAN, GRAPH_PID

status_module = sys.modules[command.__module__]  # where the command has taken its name
app = typer.Typer()
app.command()(command)


@pytest.fixture
def session(session_of_settings: Session) -> Session:
    return session_of_settings


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def fill(session: Session) -> int:
    observation = made_up.add_observation(session, name="[red]HAT-P-32[/]")
    for number in range(4):
        error = f"frame 'raw/[b]{number}.fits' is truncated"
        made_up.add_process(session, GRAPH_PID + number, "calibrate", "failed", observation, error=error)
    made_up.add_process(session, GRAPH_PID + 4, "calibrate", "running", observation, worker="tel1:44/0")
    session.add(Lease(pid=GRAPH_PID + 4, attempt=1, worker="tel1:44/0", lease_until=utc_now(-9.0)))
    made_up.add_process(session, GRAPH_PID + 5, "align", "waiting", observation)
    made_up.add_process(session, GRAPH_PID + 6, "align", "waiting", observation)
    session.flush()
    session.get_one(Process, GRAPH_PID + 6).not_before = utc_now(100.0)  # type: ignore[assignment]
    session.get_one(Process, GRAPH_PID + 6).error = "the disk is full"
    session.commit()
    return observation


def test_a_plan_that_has_not_begun_is_no_failure(session: Session) -> None:
    observation = made_up.add_observation(session, name="tonight")
    made_up.add_process(session, GRAPH_PID, "capture", "waiting", observation)
    session.flush()
    session.get_one(Process, GRAPH_PID).not_before = utc_now(7200.0)  # type: ignore[assignment]
    session.commit()
    whole = shown()
    assert f"will begin: 1 capture process of observation {observation}, first at 2" in whole
    assert "will be retried" not in whole


def add_straggler(session: Session, *, doubled: bool) -> None:
    observation = made_up.add_observation(session, name="slow")
    pids = range(GRAPH_PID + 100, GRAPH_PID + 106)
    for pid in pids[:-1]:
        made_up.add_process(session, pid, "extract", "succeeded", observation, seconds=0.25)
    made_up.add_process(session, pids[-1], "extract", "running", observation, worker="tel2:7/0")
    session.add(Lease(pid=pids[-1], attempt=1, worker="tel2:7/0", lease_until=utc_now(9.0)))
    if doubled:
        slow = session.get_one(Process, pids[-1])
        slow.status, slow.slow_attempt, slow.slow_consumer = "queued", 1, "tel2:7"
    session.commit()


@pytest.mark.parametrize(
    ("doubled", "besides"),
    [(False, "nobody else is at work on it"), (True, "another attempt is offered or at work beside it")],
)
def test_a_straggler_is_told(session: Session, doubled: bool, besides: str) -> None:
    add_straggler(session, doubled=doubled)
    text = " ".join(shown().split())
    assert "straggler: extract of observation 1 by tel2:7/0 on host, for " in text
    assert f"s, such take 0.25 s; {besides} [PID {GRAPH_PID + 105}]" in text
    [one] = json.loads(shown("--json"))["stragglers"]
    assert (one["usual_s"], one["doubled"], one["worker"]) == (0.25, doubled, "tel2:7/0")
    [at_work] = json.loads(shown("--json"))["running"]
    assert (at_work["worker"], at_work["attempt"]) == ("tel2:7/0", 1)


def test_everything_that_wants_attention_at_a_glance(session: Session) -> None:
    observation = fill(session)
    lines = [" ".join(line.split()) for line in shown().splitlines()]
    whole = "\n".join(lines)
    assert f"{observation} light [red]HAT-P-32[/] R 60 s 2024-03-04 0 0 0/7 4 2 waiting, 1 running, stuck" in lines
    assert (
        f"failed: 4 calibrate processes of observation {observation} (data): for example frame 'raw/[b]0.fits' is "
        f"truncated [PID {GRAPH_PID}, {GRAPH_PID + 1}, {GRAPH_PID + 2}, …]" in lines
    )
    assert "tel1:44/0 host 2024-03-04 20:00:00 expired" in whole
    assert f"will be retried: 1 align process of observation {observation}, next at" in whole
    assert f"after attempt 0 of 3: the disk is full [PID {GRAPH_PID + 6}]" in whole
    assert f"stuck: 2 processes of observation {observation}: no manager is active: nothing is sent; start" in whole
    assert "no consumer of group 'cpu' of site local is alive; start `tianyu consumer --group cpu`" in whole
    assert "lease expired: tel1:44/0 on host did not renew it" in whole
    assert "services: none is alive" in lines
    assert "local.cpu 1 0 1 1 0 0" in lines


def test_one_observation_by_command(session: Session) -> None:
    observation = fill(session)
    lines = [" ".join(line.split()) for line in shown(str(observation)).splitlines()]
    assert "calibrate 5 · 1 · · 4 · ·" in lines
    assert "align 2 · · · 2 · · ·" in lines


def test_json(session: Session) -> None:
    fill(session)
    read = json.loads(shown("--json"))
    assert read["observations"][0]["failure_groups"][0]["count"] == 4
    assert {one["reason"] for one in read["stuck"]} == {"no_manager", "no_consumer", "lease_expired"}


def test_no_observations(session: Session) -> None:
    result = CliRunner().invoke(app, [])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "`tianyu ingest RAW_DIR`" in result.stderr


def test_waiting_ends_when_nothing_can_move(session: Session) -> None:
    observation = made_up.add_observation(session)
    made_up.add_process(session, GRAPH_PID, "calibrate", "failed", observation, error="no star")
    session.commit()
    result = CliRunner().invoke(app, ["--wait"])
    assert result.exit_code == 1
    assert "no light curves" in result.stdout


SHOWN = '{"method":"ensemble","default":true}'


def add_calibration(session: Session, observation: int, number: int, state: str, *, graph_pid: int = GRAPH_PID) -> int:
    pid = graph_pid + number
    made_up.add_process(session, pid, "calibrate_relative", state, observation, graph_pid=graph_pid)
    session.flush()
    session.get_one(Process, pid).parameters = SHOWN
    if state == "succeeded":
        session.get_one(Observation, observation).calibration_pid = pid
    return pid


@pytest.mark.parametrize(
    ("newest", "code", "said"),
    [
        (("succeeded",), 0, "light curves made"),
        (("failed",), 1, "failed; light curves of before"),
        (("cancelled",), 3, "cancelled; light curves of before"),
        (("cancelled", "succeeded"), 0, "light curves made"),  # cancelled, then run again in the same graph
        (("succeeded", "cancelled"), 3, "cancelled; light curves of before"),
    ],
)
@pytest.mark.parametrize("how", ["--wait", "--watch"])
def test_the_exit_code_is_that_of_the_newest_graph(
    session: Session, newest: tuple[str, ...], code: int, said: str, how: str
) -> None:
    observation = made_up.add_observation(session)
    add_calibration(session, observation, 0, "succeeded")
    for number, state in enumerate(newest):
        add_calibration(session, observation, number, state, graph_pid=GRAPH_PID + 1000)
    session.commit()
    result = CliRunner().invoke(app, [how])
    assert result.exit_code == code
    assert said in result.stdout


def test_one_that_failed_weighs_more_than_one_that_was_cancelled(session: Session) -> None:
    for number, state in enumerate(("failed", "cancelled", "succeeded")):
        observation = made_up.add_observation(session, name=f"star {number}")
        add_calibration(session, observation, 0, state, graph_pid=GRAPH_PID + 1000 * number)
    session.commit()
    assert CliRunner().invoke(app, ["--wait"]).exit_code == 1


def test_waiting_ends_when_the_time_is_over(session: Session) -> None:
    observation = made_up.add_observation(session)
    made_up.add_process(session, GRAPH_PID, "calibrate", "waiting", observation)
    session.commit()
    result = CliRunner().invoke(app, ["--wait", "--timeout", "0"])
    assert result.exit_code == 5
    assert "1 waiting" in result.stdout


def away(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer the first questions of a session that reads."""
    begin, left = Session.connection, iter(range(times))

    def connection(self: Session, *words: Any, **more: Any) -> Any:
        if next(left, None) is not None:
            raise OperationalError("SELECT", {}, Exception(2003, "Can't connect to the server"))
        return begin(self, *words, **more)

    monkeypatch.setattr(Session, "connection", connection)


def test_a_database_that_is_away_for_a_moment_is_waited_for(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    observation = made_up.add_observation(session)
    add_calibration(session, observation, 0, "succeeded")
    session.commit()
    away(2, monkeypatch)
    result = CliRunner().invoke(app, ["--wait"])
    assert result.exit_code == 0, result.output
    assert result.stderr.count("does not answer, asking again") == 1


def test_a_database_that_stays_away_has_an_exit_code_of_its_own(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up.add_observation(session)
    session.commit()
    away(1_000_000, monkeypatch)
    monkeypatch.setattr(status_module, "AWAY_MOST_S", 0.0)
    result = CliRunner().invoke(app, ["--wait"])
    assert result.exit_code == 4
    assert "the database has not answered for 0 s" in result.stderr


def test_pids_are_texts_for_machines(session: Session) -> None:
    fill(session)
    [observation] = json.loads(shown("--json"))["observations"]
    assert observation["graph_pid"] == str(GRAPH_PID)
    assert observation["failures"][0]["pid"] == str(GRAPH_PID)
    assert observation["failure_groups"][0]["pids"][1] == str(GRAPH_PID + 1)
    assert observation["observation_id"] == 1


def seen(stuck: tuple[Stuck, ...] = (), hindered: tuple[Hindered, ...] = ()) -> Overview:
    return Overview((), (), (), (), hindered, stuck, (), ())


def told(capsys: pytest.CaptureFixture[str], *looks: Overview) -> str:
    patience = Patience(seen)
    for found in looks:
        patience.tell(found)
    return capsys.readouterr().err


def test_who_waits_is_told_once_of_what_stays_stuck(capsys: pytest.CaptureFixture[str]) -> None:
    paused = Stuck("paused", 1, "local", "cpu", 3, (1,), "group cpu is paused", "resume it")
    passing = Stuck("lease_expired", 1, None, None, 1, (2,), "lease expired", "nothing to do")
    lines = told(capsys, seen((paused, passing)), seen((paused,)), seen((paused,)))
    assert lines.count("stuck: group cpu is paused; resume it") == 1


def test_what_is_stuck_for_a_moment_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    passing = Stuck("lease_expired", 1, None, None, 1, (2,), "lease expired", "nothing to do")
    assert told(capsys, seen((passing,)), seen()) == ""


def test_who_waits_is_told_once_of_the_surroundings_whichever_file_was_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(name: str, count: int) -> Overview:
        return seen((), (Hindered(4, count, (1, 2), f"file '{name}' cannot be written: disk full", BEGAN, 12.0),))

    lines = told(capsys, full("a.fits", 2), full("b.fits", 3), full("c.fits", 4))
    assert lines.count("waits, and goes on by itself") == 1
    assert "3 processes of observation 4, since 2024-03-04 20:00:00 UTC, next try in 12 s: file 'b.fits'" in lines
