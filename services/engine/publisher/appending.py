"""Later frames of a live night that go by the reference stars of a calibration which is there, until the next one."""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.observing import Observation
from schema.photometry import RelativeCalibration
from schema.processes import SUCCEEDED, UNFINISHED, Process
from schema.queries import publishing
from schema.queries.publishing import NewProcess
from services.engine.publisher.graph import Graph, Inputs
from services.engine.publisher.keys import keys_of
from services.engine.publisher.settling import Settled
from services.steps import ORDER
from services.steps.append_relative import APPEND_RELATIVE, AppendRelativeParameters
from services.steps.calibrate_relative import CALIBRATE_RELATIVE
from services.steps.extract import EXTRACT
from services.steps.place_frames import PLACE_FRAMES
from services.steps.select import SELECT

BEHIND = 1  # of priority, of a whole calibration that no frame waits for
CALIBRATING = frozenset(step.command for step in ORDER[ORDER.index(CALIBRATE_RELATIVE) :])


class _Relative(NamedTuple):
    """A calibration, or frames that were appended to one."""

    pid: int
    command: str
    status: str
    parameters: str
    generation: int


class Calibration(Enum):
    """What is calibrated when frames come: all frames anew, or these alone by the reference stars that are there.

    ``BEHIND``: these alone, and all anew when no other work of the night is ready.
    """

    WHOLE = "whole"
    LATER = "later"
    BEHIND = "behind"


def append(
    session: Session, observation: Observation, graph: Graph, settled: Settled, calibration: Calibration
) -> Settled:
    """Have later frames go by what the views show, where nothing but the frames is new; else all is calibrated anew."""
    wholes = [process for process in settled.processes if process.command == CALIBRATE_RELATIVE.command]
    joins = settled.former is not None and not settled.taken_over
    if calibration is Calibration.WHOLE or not wholes or not joins:
        return settled
    there = _relative(session, settled.graph_pid)
    bases = {whole.pid: _base(whole, there) for whole in wholes}
    pids = [pid for pid in bases.values() if pid is not None]
    if len(pids) < len(wholes) or observation.calibration_pid not in pids or not _take_later(session, pids):
        return settled
    new = [
        process
        for whole in wholes
        if (process := _appending(session, graph, settled, whole, bases[whole.pid] or 0, there)) is not None
    ]
    kept = [process for process in settled.processes if process.command not in CALIBRATING]
    if calibration is Calibration.BEHIND:
        behind = [process for process in settled.processes if process.command in CALIBRATING]
        kept += [process._replace(priority=process.priority + BEHIND) for process in behind]
    return replace(settled, processes=[*kept, *new])


def _relative(session: Session, graph_pid: int) -> Sequence[_Relative]:
    """What a graph has of calibrations and of frames that were appended to them, in order of PID."""
    columns = (getattr(Process, name) for name in _Relative._fields)
    commands = Process.command.in_((CALIBRATE_RELATIVE.command, APPEND_RELATIVE.command))
    query = select(*columns).where(Process.graph_pid == graph_pid, commands).order_by(Process.pid)
    return [_Relative(*row) for row in session.execute(query)]


def _base(whole: NewProcess, there: Sequence[_Relative]) -> int | None:
    """The newest calibration of the same parameters that succeeded."""
    alike = [one for one in there if (one.command, one.status) == (CALIBRATE_RELATIVE.command, SUCCEEDED)]
    asked = whole.parameters, whole.generation
    return max((one.pid for one in alike if (one.parameters, one.generation) == asked), default=None)


def _take_later(session: Session, pids: Sequence[int]) -> bool:
    told = session.scalars(select(RelativeCalibration.takes_later).where(RelativeCalibration.pid.in_(pids))).all()
    return bool(told) and all(told)


def _appending(
    session: Session,
    graph: Graph,
    settled: Settled,
    whole: NewProcess,
    base: int,
    there: Sequence[_Relative],
) -> NewProcess | None:
    """The process that appends frames which came after a calibration and were not appended yet; None without any."""

    def standing(command: str) -> dict[int, int]:
        """PIDs of a command's processes as they were laid out, by those that stand."""
        return {settled.stands.get(pid, pid): pid for pid in graph.made[command]}

    appended: set[int] = set()
    for row in there:
        if row.command == APPEND_RELATIVE.command and row.status in (SUCCEEDED, *UNFINISHED):
            told = AppendRelativeParameters.model_validate_json(row.parameters)
            appended |= set(told.extracted) if told.calibration == base else set()
    extracts = standing(EXTRACT.command)
    later = tuple(sorted(pid for pid in extracts if pid > base and pid not in appended))
    if not later:
        return None
    method = CALIBRATE_RELATIVE.parameters.model_validate_json(whole.parameters).method
    selects, placed = standing(SELECT.command), standing(PLACE_FRAMES.command)
    inputs = Inputs({"method": method, "calibration": base, "extracted": later}, (base, *selects), (*later, *placed))
    graph.add(APPEND_RELATIVE, inputs)
    process = graph.processes.pop()._replace(graph_pid=settled.graph_pid)
    laid = {one.pid: one.result_key for one in graph.processes}
    # Of a graph that was laid out from what came since alone not all keys are known: then it has none either.
    known = {pid: laid.get(was) for pid, was in {**extracts, **selects, **placed}.items()}
    known |= publishing.result_keys(session, [base])
    return process._replace(result_key=keys_of([process], graph.choices, {}, known).get(process.pid))
