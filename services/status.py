"""What `tianyu status` shows: what was expected, what is done, what failed and why."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from schema.images import CALIBRATED, Image
from schema.observing import LIGHT, Filter, Instrument, Observation, Target
from schema.processes import (
    FAILED,
    RUNNING,
    STATES,
    SUCCEEDED,
    UNFINISHED,
    Process,
    ProcessAttempt,
    ProcessDependence,
)
from services.errors import ConfigurationError
from services.steps import COMMANDS

MAX_FAILURES = 1000  # listed of one observation; the counts tell of the rest


@dataclass(frozen=True)
class CommandStatus:
    """Processes of one command by state; states without any are 0."""

    command: str
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Failure:
    """A process that failed for good, and why."""

    pid: int
    command: str
    attempt: int
    error_class: str | None
    error: str


@dataclass(frozen=True)
class Running:
    """A process at work; ``since`` is UTC."""

    pid: int
    command: str
    attempt: int
    worker: str
    host: str
    since: datetime


@dataclass(frozen=True)
class ObservationStatus:
    """How far one observation is.

    ``graph_pid`` is the newest graph (None: not published); commands, failures and running are those of that graph.
    ``older_unfinished`` counts what can still move in graphs that it replaced. ``light_curves`` tells whether there
    are any, also from an older graph.
    """

    observation_id: int
    target: str
    filter: str
    instrument: str
    night: date
    kind: str
    graph_pid: int | None
    frames: int
    frames_rejected: int
    commands: tuple[CommandStatus, ...]
    failures: tuple[Failure, ...]
    running: tuple[Running, ...]
    older_unfinished: int
    light_curves: bool

    def count(self, *states: str) -> int:
        """Processes in these states."""
        return sum(command.counts[state] for command in self.commands for state in states)

    @property
    def finished(self) -> bool:
        """Nothing of the observation itself can move any more; `finished` looks at its masters too."""
        return self.count(*UNFINISHED) + self.older_unfinished == 0

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only; times are ISO 8601, UTC."""
        return {
            "observation_id": self.observation_id,
            "target": self.target,
            "filter": self.filter,
            "instrument": self.instrument,
            "night": self.night.isoformat(),
            "kind": self.kind,
            "graph_pid": self.graph_pid,
            "frames": self.frames,
            "frames_rejected": self.frames_rejected,
            "commands": [{"command": c.command, **c.counts} for c in self.commands],
            "failures": [vars(failure) for failure in self.failures],
            "running": [vars(run) | {"since": run.since.isoformat(timespec="seconds") + "Z"} for run in self.running],
            "older_unfinished": self.older_unfinished,
            "light_curves": self.light_curves,
            "finished": self.finished,
        }


@dataclass
class _Found:
    """What the grouped queries found of one observation."""

    graph_pid: int | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    older_unfinished: int = 0
    frames: int = 0
    frames_rejected: int = 0
    failures: list[Failure] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)


def status(session: Session, observation_id: int | None = None) -> list[ObservationStatus]:
    """The state of one observation or of all, in order of id; a fixed number of queries, however many there are.

    Raises:
        ConfigurationError: there is no such observation.
    """
    rows = _observations(session, observation_id)
    if observation_id is not None and not rows:
        raise ConfigurationError(
            f"there is no observation {observation_id}: `tianyu ingest` prints the ids, `tianyu status` lists them"
        )
    found: dict[int, _Found] = defaultdict(_Found)
    _count_processes(session, observation_id, found)
    _count_frames(session, observation_id, found)
    _list_failures(session, found)
    _list_running(session, found)
    return [_assemble(row, found[row.observation_id]) for row in rows]


def finished(session: Session, observation_id: int | None = None) -> bool:
    """Whether nothing can move any more: no process waits, is queued or runs.

    For one observation, the processes of other observations that its own depend on (its masters) count too.
    """
    unfinished = Process.status.in_(UNFINISHED)
    if observation_id is None:
        return not session.scalar(select(exists().where(unfinished)))
    if session.scalar(select(exists().where(Process.observation_id == observation_id, unfinished))):
        return False
    child = aliased(Process)
    masters = (
        select(Process.pid)
        .join(ProcessDependence, ProcessDependence.parent_pid == Process.pid)
        .join(child, child.pid == ProcessDependence.child_pid)
        .where(child.observation_id == observation_id, unfinished)
        .limit(1)
    )
    return session.scalar(masters) is None


def light_curves_made(session: Session, observation_id: int) -> bool:
    """Whether the observation has relative light curves from a process that succeeded."""
    query = (
        select(Process.pid)
        .join(Observation, Observation.calibration_pid == Process.pid)
        .where(Observation.observation_id == observation_id, Process.status == SUCCEEDED)
    )
    return session.scalar(query) is not None


def _one(column: Any, observation_id: int | None) -> list[ColumnElement[bool]]:
    return [] if observation_id is None else [column == observation_id]


def _observations(session: Session, observation_id: int | None) -> Sequence[Any]:
    calibration = aliased(Process)
    return session.execute(
        select(
            Observation.observation_id,
            Target.name.label("target"),
            Filter.name.label("filter"),
            Instrument.name.label("instrument"),
            Observation.night,
            Target.kind,
            calibration.status.label("calibration_status"),
        )
        .join(Target, Target.target_id == Observation.target_id)
        .join(Filter, Filter.filter_id == Observation.filter_id)
        .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
        .outerjoin(calibration, calibration.pid == Observation.calibration_pid)
        .where(*_one(Observation.observation_id, observation_id))
        .order_by(Observation.observation_id)
    ).all()


def _count_processes(session: Session, observation_id: int | None, found: dict[int, _Found]) -> None:
    rows = session.execute(
        select(Process.observation_id, Process.graph_pid, Process.command, Process.status, func.count())
        .where(Process.observation_id.is_not(None), *_one(Process.observation_id, observation_id))
        .group_by(Process.observation_id, Process.graph_pid, Process.command, Process.status)
    ).all()
    for observation, graph_pid, *_ in rows:
        if observation is not None:
            found[observation].graph_pid = max(graph_pid, found[observation].graph_pid or 0)
    for observation, graph_pid, command, state, count in rows:
        if observation is None:
            continue
        entry = found[observation]
        if graph_pid == entry.graph_pid:
            entry.counts.setdefault(command, dict.fromkeys(STATES, 0))[state] += count
        elif state in UNFINISHED:
            entry.older_unfinished += count


def _count_frames(session: Session, observation_id: int | None, found: dict[int, _Found]) -> None:
    """Frames of the camera and, of them, those rejected by ingest or calibration, or by `select` once calibrated."""
    graphs = [entry.graph_pid for entry in found.values() if entry.graph_pid is not None]
    rejected = func.sum(case((Image.good.is_(False), 1), else_=0))
    rows = session.execute(
        select(Image.observation_id, Image.kind, Image.graph_pid, func.count(), rejected)
        .where(
            Image.observation_id.is_not(None),
            or_(Image.pid.is_(None), and_(Image.kind == CALIBRATED, Image.graph_pid.in_(graphs))),
            *_one(Image.observation_id, observation_id),
        )
        .group_by(Image.observation_id, Image.kind, Image.graph_pid)
    )
    for observation, kind, graph_pid, count, bad in rows:
        if observation is None or (kind == CALIBRATED and graph_pid != found[observation].graph_pid):
            continue
        found[observation].frames += 0 if kind == CALIBRATED else count
        found[observation].frames_rejected += int(bad)


def _newest(found: dict[int, _Found], state: str) -> list[tuple[int, str]]:
    """(graph, command) of the newest graphs that have processes in this state."""
    return [
        (entry.graph_pid, command)
        for entry in found.values()
        for command, counts in entry.counts.items()
        if entry.graph_pid is not None and counts[state]
    ]


def _list_failures(session: Session, found: dict[int, _Found]) -> None:
    pairs = _newest(found, FAILED)
    if not pairs:
        return
    rows = session.execute(
        select(
            Process.observation_id, Process.pid, Process.command, Process.attempt, Process.error_class, Process.error
        )
        .where(Process.status == FAILED, tuple_(Process.graph_pid, Process.command).in_(pairs))
        .order_by(Process.pid)
    )
    for observation, pid, command, attempt, error_class, error in rows:
        if observation is not None and len(found[observation].failures) < MAX_FAILURES:
            found[observation].failures.append(Failure(pid, command, attempt, error_class, error or "no reason given"))


def _list_running(session: Session, found: dict[int, _Found]) -> None:
    if not _newest(found, RUNNING):
        return
    rows = session.execute(
        select(
            Process.observation_id,
            Process.graph_pid,
            Process.pid,
            Process.command,
            Process.attempt,
            ProcessAttempt.worker,
            ProcessAttempt.host,
            ProcessAttempt.started_at,
        )
        .join(ProcessAttempt, and_(ProcessAttempt.pid == Process.pid, ProcessAttempt.attempt == Process.attempt))
        .where(Process.status == RUNNING)
        .order_by(ProcessAttempt.started_at, Process.pid)
    )
    for observation, graph_pid, pid, command, attempt, worker, host, since in rows:
        if observation in found and graph_pid == found[observation].graph_pid:
            found[observation].running.append(Running(pid, command, attempt, worker, host, since))


def _assemble(row: Any, found: _Found) -> ObservationStatus:
    place = {command: number for number, command in enumerate(COMMANDS)}
    in_order = sorted(found.counts, key=lambda command: (place.get(command, len(place)), command))
    return ObservationStatus(
        observation_id=row.observation_id,
        target=row.target,
        filter=row.filter,
        instrument=row.instrument,
        night=row.night,
        kind=row.kind,
        graph_pid=found.graph_pid,
        frames=found.frames,
        frames_rejected=found.frames_rejected,
        commands=tuple(CommandStatus(command, found.counts[command]) for command in in_order),
        failures=tuple(found.failures),
        running=tuple(found.running),
        older_unfinished=found.older_unfinished,
        light_curves=row.kind == LIGHT and row.calibration_status == SUCCEEDED,
    )
