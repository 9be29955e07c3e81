"""`tianyu status` as it is printed."""

import json

import pytest
import typer
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from schema.base import utc_now
from schema.processes import Lease, Process
from services.cli.status import _Patience
from services.cli.status import status as command
from services.status import Overview, Stuck
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID

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


def test_everything_that_wants_attention_at_a_glance(session: Session) -> None:
    observation = fill(session)
    lines = [" ".join(line.split()) for line in shown().splitlines()]
    whole = "\n".join(lines)
    assert f"{observation} light [red]HAT-P-32[/] R 2024-03-04 0 0 0/7 4 2 waiting, 1 running, stuck" in lines
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


def test_who_waits_is_told_once_of_what_stays_stuck(capsys: pytest.CaptureFixture[str]) -> None:
    paused = Stuck("paused", 1, "local", "cpu", 3, (1,), "group cpu is paused", "resume it")
    passing = Stuck("lease_expired", 1, None, None, 1, (2,), "lease expired", "nothing to do")
    patience = _Patience(lambda: Overview((), (), (), (), (), ()))
    for found in ((paused, passing), (paused,), (paused,)):
        patience.tell(found)
    assert capsys.readouterr().err.count("stuck: group cpu is paused; resume it") == 1


def test_what_is_stuck_for_a_moment_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    passing = Stuck("lease_expired", 1, None, None, 1, (2,), "lease expired", "nothing to do")
    patience = _Patience(lambda: Overview((), (), (), (), (), ()))
    patience.tell((passing,))
    patience.tell(())
    assert capsys.readouterr().err == ""
