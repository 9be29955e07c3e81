"""How far observations are: counts by state, frames, failures, and what runs, by a fixed number of queries."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, literal, select, tuple_
from sqlalchemy.orm import Session, aliased

from schema.frame import Frame
from schema.image import Image
from schema.observing import LIGHT, Filter, Instrument, Observation, Target
from schema.prepared import Prepared, run
from schema.processes import (
    FAILED,
    SKIPPED,
    STATES,
    SUCCEEDED,
    UNFINISHED,
    UNSUCCESSFUL,
    Process,
    ProcessDependence,
    Site,
)
from schema.queries.dependencies import failed_masters
from schema.queries.frames import REJECTED
from services.alike import examples, gather, gist
from services.engine.publisher.replaced import REPEATED, replaced
from services.engine.publisher.stopped import ends_of_graphs
from services.frame_notes import frame_notes
from services.masters import FailedMaster
from services.operating.status.observation_status import (
    CommandStatus,
    Failure,
    FailureGroup,
    ObservationStatus,
    Running,
)
from services.operating.status.work import AtWork, at_work
from services.own_site import no_observation
from services.steps import COMMANDS, STEPS
from services.steps.calibrate_relative import CALIBRATE_RELATIVE

LAST_PRIORITY = 2**31 - 1  # no process has a greater number
# Asked ten times a second.
_UNFINISHED = Prepared(
    select(Process.pid).where(Process.status.in_(UNFINISHED), Process.priority <= bindparam("most")).limit(1)
)
MAX_FAILURES = 1000  # listed of one observation; the counts tell of the rest
MOST_READ = 10_000  # failures read, over all observations: their texts cost more than all else


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
    calibration: str | None = None
    failed_masters: list[FailedMaster] = field(default_factory=list)
    stopped_after: str | None = None


def status(
    session: Session, observation_id: int | None = None, work: Iterable[AtWork] | None = None
) -> list[ObservationStatus]:
    """The state of one observation or of all, in order of id; a fixed number of queries, however many there are.

    ``work`` is what runs, for a caller who has looked already.

    Raises:
        ConfigurationError: there is no such observation.
    """
    rows = _observations(session, observation_id)
    if observation_id is not None and not rows:
        raise no_observation(observation_id)
    found: dict[int, _Found] = defaultdict(_Found)
    _count_processes(session, observation_id, found)
    _count_frames(session, observation_id, found)
    _list_failures(session, found)
    _leave_out_replaced(session, found)
    _find_calibrations(session, found)
    _find_failed_masters(session, found)
    _find_stopped(session, found)
    notes = frame_notes(session, {row.observation_id: found[row.observation_id].graph_pid for row in rows})
    for item in at_work(session) if work is None else work:
        if item.observation_id in found and item.graph_pid == found[item.observation_id].graph_pid:
            found[item.observation_id].running.append(item.running)
    return [_assemble(row, found[row.observation_id], notes[row.observation_id]) for row in rows]


def finished(session: Session, observation_id: int | None = None, priority: int | None = None) -> bool:
    """Whether nothing can move any more: no process waits, is queued or runs.

    For one observation, the processes of other observations that its own depend on (its masters) count too.
    ``priority``: what has a greater number does not count.
    """
    most = LAST_PRIORITY if priority is None else priority
    [left] = run(session, _UNFINISHED(most=most))
    if not left.rows:
        return True
    if observation_id is None:
        return False
    unfinished = and_(Process.status.in_(UNFINISHED), Process.priority <= most)
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
            Site.name.label("site"),
            Target.name.label("target"),
            Filter.name.label("filter"),
            Instrument.name.label("instrument"),
            Observation.night,
            Observation.setting,
            Observation.geometry,
            Observation.exposure_s,
            Target.kind,
            calibration.status.label("calibration_status"),
        )
        .join(Site, Site.site_id == Observation.site_id)
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
    of_camera = (
        select(Image.observation_id, func.count(), func.sum(case((REJECTED, 1), else_=0)))
        .where(Image.observation_id.is_not(None), Image.pid.is_(None), *_one(Image.observation_id, observation_id))
        .group_by(Image.observation_id)
    )
    judged = (
        select(Frame.observation_id, literal(0), func.count())
        .where(Frame.graph_pid.in_(graphs), Frame.good.is_(False), *_one(Frame.observation_id, observation_id))
        .group_by(Frame.observation_id)
    )
    for observation, count, bad in (*session.execute(of_camera), *session.execute(judged)):
        if observation is not None:
            found[observation].frames += count
            found[observation].frames_rejected += int(bad)


def _list_failures(session: Session, found: dict[int, _Found]) -> None:
    pairs = [
        (entry.graph_pid, command)
        for entry in found.values()
        for command, counts in entry.counts.items()
        if entry.graph_pid is not None and counts[FAILED]
    ]
    if not pairs:
        return
    share = max(1, MOST_READ // len({graph_pid for graph_pid, _ in pairs}))
    place = func.row_number().over(partition_by=Process.graph_pid, order_by=Process.pid).label("place")
    placed = (
        select(Process.pid, place)
        .where(Process.status == FAILED, tuple_(Process.graph_pid, Process.command).in_(pairs))
        .subquery()
    )
    rows = session.execute(
        select(
            Process.observation_id, Process.pid, Process.command, Process.attempt, Process.error_class, Process.error
        )
        .join(placed, placed.c.pid == Process.pid)
        .where(placed.c.place <= share)
        .order_by(Process.pid)
    )
    for observation, pid, command, attempt, error_class, error in rows:
        if observation is not None:
            found[observation].failures.append(Failure(pid, command, attempt, error_class, error or "no reason given"))


def _leave_out_replaced(session: Session, found: dict[int, _Found]) -> None:
    """What ended without success and was run again in its place since does not count."""
    graphs = {
        entry.graph_pid: entry
        for entry in found.values()
        if entry.graph_pid is not None
        and any(entry.counts.get(command, {}).get(state) for command in REPEATED for state in UNSUCCESSFUL)
    }
    for process in replaced(session, graphs) if graphs else ():
        entry = graphs[process.graph_pid]
        entry.counts[process.command][process.status] -= 1
        entry.failures = [failure for failure in entry.failures if failure.pid != process.pid]


def _find_calibrations(session: Session, found: dict[int, _Found]) -> None:
    """Of each newest graph the newest calibration whose light curves the views shall show."""
    graphs = [entry.graph_pid for entry in found.values() if entry.graph_pid is not None]
    rows = session.execute(
        select(Process.observation_id, Process.status)
        .where(
            Process.graph_pid.in_(graphs),
            Process.command == CALIBRATE_RELATIVE.command,
            Process.parameters.contains('"default":true'),
        )
        .order_by(Process.pid)
    )
    for observation, state in rows:
        if observation is not None:
            found[observation].calibration = state


def _find_failed_masters(session: Session, found: dict[int, _Found]) -> None:
    """Masters without success for which something of the newest graphs was skipped."""
    skipped = {
        entry.graph_pid: entry
        for entry in found.values()
        if entry.graph_pid is not None and any(counts[SKIPPED] for counts in entry.counts.values())
    }
    for graph_pid, master in failed_masters(session, skipped) if skipped else ():
        kind = STEPS[master.command].kind if master.command in STEPS else None
        skipped[graph_pid].failed_masters.append(
            FailedMaster(kind or master.command, master.pid, master.observation_id, master.status, master.error)
        )


def _find_stopped(session: Session, found: dict[int, _Found]) -> None:
    """Graphs that end before the light curves since nobody asked for more."""
    short = {
        entry.graph_pid: entry
        for entry in found.values()
        if entry.graph_pid is not None and CALIBRATE_RELATIVE.command not in entry.counts
    }
    for graph_pid, step in ends_of_graphs(session, short).items() if short else ():
        short[graph_pid].stopped_after = step.command


def _group(failures: Sequence[Failure]) -> tuple[FailureGroup, ...]:
    groups = gather(failures, lambda failure: (failure.command, failure.error_class, gist(failure.error)))
    return tuple(
        FailureGroup(
            group[0].command, group[0].error_class, group[0].error, len(group), examples([one.pid for one in group])
        )
        for group in groups
    )


def _assemble(row: Any, found: _Found, notes: Sequence[str]) -> ObservationStatus:
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
        failures=tuple(found.failures[:MAX_FAILURES]),
        running=tuple(found.running),
        older_unfinished=found.older_unfinished,
        light_curves=row.kind == LIGHT and row.calibration_status == SUCCEEDED,
        calibration=found.calibration,
        failure_groups=_group(found.failures),
        failed_masters=tuple(found.failed_masters),
        site=row.site,
        setting=row.setting,
        geometry=row.geometry,
        exposure_s=row.exposure_s,
        notes=tuple(notes),
        stopped_after=found.stopped_after if row.kind == LIGHT else None,
    )
