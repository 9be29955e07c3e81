"""`report`: the sums are those of the attempts, and the throughput follows from them."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from schema.processes import ProcessAttempt
from services.errors import ConfigurationError, DataError
from services.operating.report import report
from tests.unit.services import made_up
from tests.unit.services.made_up import BEGAN, GRAPH_PID


def fill(session: Session) -> int:
    """Two workers: 4 s of calibrate side by side, a pause of 5 s, 2 s of align; one process was tried twice."""
    observation = made_up.add_observation(session)
    add = made_up.add_process
    add(session, GRAPH_PID - 1000, "calibrate", "succeeded", observation, graph_pid=GRAPH_PID - 1000, seconds=1000.0)
    add(session, GRAPH_PID, "calibrate", "succeeded", observation, start_s=0, seconds=4.0, worker="a")
    add(session, GRAPH_PID + 1, "calibrate", "succeeded", observation, start_s=1, seconds=3.0, worker="b")
    add(session, GRAPH_PID + 2, "calibrate", "failed", observation, start_s=9, seconds=1.0, worker="b", error="bad")
    add(session, GRAPH_PID + 3, "align", "succeeded", observation, start_s=10, seconds=1.0, worker="a")
    add(session, GRAPH_PID + 4, "align", "skipped", observation)
    session.execute(
        insert(ProcessAttempt).values(
            pid=GRAPH_PID + 2,
            attempt=2,
            worker="b",
            host="host",
            version="0",
            started_at=BEGAN + timedelta(seconds=2),
            finished_at=BEGAN + timedelta(seconds=4),
            seconds=2.0,
            cpu_seconds=None,
        )
    )
    session.flush()
    return observation


def test_costs_of_a_command(any_session: Session) -> None:
    result = report(any_session, fill(any_session))
    assert [row.command for row in result.rows] == ["calibrate", "align"]
    calibrate, align = result.rows
    assert (calibrate.processes, calibrate.calls, calibrate.succeeded, calibrate.seconds) == (3, 4, 2, 10.0)
    assert (calibrate.mean_seconds, calibrate.cpu_seconds, calibrate.cpu_percent) == (2.5, 4.0, 40.0)
    assert (calibrate.read_mb, calibrate.write_mb, calibrate.max_rss_bytes) == (6.0, 3.0, 100_000_002)
    assert (align.processes, align.calls, align.succeeded) == (2, 1, 1)
    assert (result.total.calls, result.total.seconds, result.total.cpu_seconds) == (5, 11.0, 4.5)


def test_throughput_leaves_pauses_out(any_session: Session) -> None:
    result = report(any_session, fill(any_session))
    assert (result.workers, result.elapsed_s, result.running_s) == (2, 11.0, 6.0)
    assert (result.finished_processes, result.frames) == (4, 2)
    assert result.processes_per_s == pytest.approx(4 / 6)
    assert result.frames_per_s == pytest.approx(2 / 6)
    assert result.overhead_s == pytest.approx(11.0 * 2 - 11.0)
    assert json.loads(json.dumps(result.to_json()))["started_at"] == "2024-03-04T20:00:00Z"


def test_sums_agree_with_the_view_where_there_is_one_graph(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    for number in range(6):
        made_up.add_process(
            any_session,
            GRAPH_PID + number,
            "align",
            ("succeeded", "failed")[number % 2],
            observation,
            seconds=number + 1.0,
        )
    view = any_session.execute(
        text(
            "SELECT SUM(`count`), SUM(seconds), SUM(cpu_seconds), MAX(max_rss_bytes), SUM(read_bytes), "
            "SUM(write_bytes) "
            "FROM process_summary WHERE observation_id = :id AND command = 'align'"
        ),
        {"id": observation},
    ).one()
    [row] = report(any_session, observation).rows
    mine = (row.processes, row.seconds, row.cpu_seconds, row.max_rss_bytes, row.read_bytes, row.write_bytes)
    assert [float(value) for value in view] == [float(value) for value in mine if value is not None]


def test_nothing_to_report(session: Session) -> None:
    with pytest.raises(ConfigurationError, match="there is no observation 9"):
        report(session, 9)
    observation = made_up.add_observation(session)
    with pytest.raises(DataError, match="no process has been finished yet"):
        report(session, observation)
    made_up.add_process(session, GRAPH_PID, "calibrate", "running", observation)
    with pytest.raises(DataError, match="no process has been finished yet"):
        report(session, observation)
