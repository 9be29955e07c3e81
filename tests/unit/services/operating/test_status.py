"""`status`: every process and frame is accounted for."""

import json
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import Observation
from schema.processes import Process, ProcessDependence
from services.errors import ConfigurationError
from services.operating.status import Failure, Running, finished, light_curves_made, status
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID

OLD_GRAPH, FLAT_GRAPH = GRAPH_PID - 1000, GRAPH_PID - 2000


def fill(session: Session) -> tuple[int, int]:
    """A light observation in the middle of its second graph, and its flats; returns their ids."""
    light, flat = made_up.add_observation(session), made_up.add_observation(session, "flat", "")
    frames = made_up.add_frames(session, light, 5)
    made_up.add_frames(session, flat, 2, "flat")
    session.execute(update(Image).where(Image.image_id == frames[1]).values(good=False, reject_reason="truncated"))
    made_up.add_process(session, OLD_GRAPH, "calibrate", "failed", light, graph_pid=OLD_GRAPH, error="old")
    made_up.add_process(session, OLD_GRAPH + 1, "align", "waiting", light, graph_pid=OLD_GRAPH)
    made_up.add_process(session, FLAT_GRAPH, "combine_flat", "succeeded", flat, graph_pid=FLAT_GRAPH)
    for number, (command, state, error) in enumerate(
        [
            ("align", "waiting", None),
            ("calibrate", "failed", "frame 3 is truncated"),
            ("calibrate", "succeeded", None),
            ("calibrate", "running", None),
            ("calibrate", "queued", None),
            ("something_new", "skipped", None),
        ]
    ):
        made_up.add_process(session, GRAPH_PID + number, command, state, light, start_s=60.0 * number, error=error)
    session.execute(insert(ProcessDependence).values(parent_pid=FLAT_GRAPH, child_pid=GRAPH_PID + 1, required=False))
    return light, flat


def test_counts_failures_and_what_runs(any_session: Session) -> None:
    light, flat = fill(any_session)
    [one, other] = status(any_session)
    assert (one.observation_id, one.target, one.filter, one.kind) == (light, "HAT-P-32", "R", "light")
    assert (one.frames, one.frames_rejected, other.frames) == (5, 1, 2)
    assert one.graph_pid == GRAPH_PID
    assert [command.command for command in one.commands] == ["calibrate", "align", "something_new"]
    assert {state: count for state, count in one.commands[0].counts.items() if count} == {
        "queued": 1,
        "running": 1,
        "succeeded": 1,
        "failed": 1,
    }
    assert one.failures == (Failure(GRAPH_PID + 1, "calibrate", 1, "data", "frame 3 is truncated"),)
    since = made_up.BEGAN + timedelta(seconds=180)
    assert one.running == (Running(GRAPH_PID + 3, "calibrate", 1, "host-1", "host", since),)
    assert one.older_unfinished == 1
    assert (one.finished, other.finished, other.observation_id) == (False, True, flat)


def test_frames_rejected_after_calibration_count_once(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    made_up.add_frames(any_session, observation, 30)
    made_up.add_light_curves(any_session, observation, np.random.default_rng(1), n_stars=6, n_frames=30)
    [one] = status(any_session, observation)
    assert (one.frames, one.frames_rejected, one.light_curves, one.finished) == (30, 3, True, True)
    assert light_curves_made(any_session, observation)


def test_light_curves_count_only_when_their_process_succeeded(session: Session) -> None:
    observation = made_up.add_observation(session)
    made_up.add_process(session, GRAPH_PID, "calibrate_relative", "failed", observation, error="no star")
    assert not light_curves_made(session, observation)
    session.execute(update(Observation).values(calibration_pid=GRAPH_PID))
    assert not light_curves_made(session, observation)
    assert not status(session, observation)[0].light_curves


def test_json_holds_everything(session: Session) -> None:
    light, _ = fill(session)
    read = json.loads(json.dumps(status(session, light)[0].to_json()))
    assert read["night"] == "2024-03-04"
    assert read["commands"][0] == {
        "command": "calibrate",
        "waiting": 0,
        "queued": 1,
        "running": 1,
        "succeeded": 1,
        "failed": 1,
        "skipped": 0,
        "cancelled": 0,
    }
    assert read["running"][0]["since"] == "2024-03-04T20:03:00Z"
    assert read["failures"][0]["error"] == "frame 3 is truncated"


def test_an_observation_that_is_not_there(session: Session) -> None:
    assert status(session) == []
    with pytest.raises(ConfigurationError, match="there is no observation 5"):
        status(session, 5)


def test_finished_waits_for_every_own_process(any_session: Session) -> None:
    light, flat = fill(any_session)
    assert not finished(any_session)
    assert not finished(any_session, light)
    assert finished(any_session, flat)
    any_session.execute(
        update(Process).where(Process.status.in_(("waiting", "queued", "running"))).values(status="cancelled")
    )
    assert finished(any_session, light)
    assert finished(any_session)


def test_finished_waits_for_the_masters_too(any_session: Session) -> None:
    light, flat = fill(any_session)
    any_session.execute(update(Process).where(Process.observation_id == light).values(status="cancelled"))
    any_session.execute(update(Process).where(Process.observation_id == flat).values(status="running"))
    assert not finished(any_session, light)
    any_session.execute(update(Process).where(Process.observation_id == flat).values(status="failed"))
    assert finished(any_session, light)
