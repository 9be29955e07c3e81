"""How what a process depends on has ended, and why."""

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session, aliased

from schema.observing import LIGHT, Observation, Target
from schema.prepared import Prepared, run
from schema.processes import SKIPPED, SUCCEEDED, UNSUCCESSFUL, Process, ProcessDependence
from schema.queries.scheduling import chunks

_child, _other = aliased(Process), aliased(Process)

_STATES = Prepared(
    select(Process.status, func.count())
    .join(ProcessDependence, ProcessDependence.parent_pid == Process.pid)
    .where(
        ProcessDependence.child_pid == bindparam("child"),
        Process.command.in_(bindparam("commands", expanding=True)),
    )
    .group_by(Process.status)
)


class Ended(NamedTuple):
    """A process, and how it ended."""

    pid: int
    observation_id: int | None
    command: str
    status: str
    error_class: str | None
    error: str | None


_COLUMNS = tuple(getattr(Process, name) for name in Ended._fields)


def states(session: Session, pid: int, commands: Collection[str]) -> dict[str, int]:
    """How many processes of these commands a process depends on, by their state."""
    [(_, rows)] = run(session, _STATES(child=pid, commands=sorted(commands)))
    return {status: int(number) for status, number in rows}


def unsuccessful(session: Session, pid: int, commands: Collection[str]) -> list[Ended]:
    """Processes of these commands without success that a process depends on, in order of PID."""
    query = (
        select(*_COLUMNS)
        .join(ProcessDependence, ProcessDependence.parent_pid == Process.pid)
        .where(ProcessDependence.child_pid == pid, Process.command.in_(commands), Process.status.in_(UNSUCCESSFUL))
    )
    return [Ended(*row) for row in session.execute(query.order_by(Process.pid))]


def causes(session: Session, skipped: Collection[int]) -> list[Ended]:
    """What processes were skipped for: what they require and what that requires, up to those that were not skipped."""
    found: dict[int, Ended] = {}
    frontier, seen = set(skipped), set(skipped)
    while frontier:
        query = (
            select(*_COLUMNS)
            .join(ProcessDependence, ProcessDependence.parent_pid == Process.pid)
            .where(ProcessDependence.required.is_(True), Process.status.in_(UNSUCCESSFUL))
            .distinct()
        )
        rows = [
            Ended(*row)
            for part in chunks(sorted(frontier))
            for row in session.execute(query.where(ProcessDependence.child_pid.in_(part)))
        ]
        found |= {row.pid: row for row in rows if row.status != SKIPPED}
        frontier = {row.pid for row in rows if row.status == SKIPPED} - seen
        seen |= frontier
    return [found[pid] for pid in sorted(found)]


def graphs_used(session: Session, graph_pids: Collection[int]) -> set[int]:
    """These graphs, and those whose processes theirs depend on: of masters, and of what these were made with."""
    parent = aliased(Process)
    query = (
        select(parent.graph_pid)
        .join(ProcessDependence, ProcessDependence.parent_pid == parent.pid)
        .join(Process, Process.pid == ProcessDependence.child_pid)
        .where(parent.graph_pid != Process.graph_pid)
        .distinct()
    )
    used = frontier = set(graph_pids)
    while frontier:
        frontier = set(session.scalars(query.where(Process.graph_pid.in_(frontier)))) - used
        used = used | frontier
    return used


def made_without(session: Session, revived: Collection[int]) -> dict[int, int]:
    """Results that rest on processes which went on without these: how many, by observation of the sky.

    Of each newest graph alone: what an older one has is shown no more.
    """
    newest = select(func.max(_other.graph_pid)).where(_other.observation_id == Process.observation_id)
    query = (
        select(Process.pid, Process.observation_id, Target.kind, Process.graph_pid == newest.scalar_subquery())
        .join(ProcessDependence, ProcessDependence.child_pid == Process.pid)
        .join(Observation, Observation.observation_id == Process.observation_id)
        .join(Target, Target.target_id == Observation.target_id)
        .where(Process.status == SUCCEEDED)
    )
    seen: set[int] = set()
    frontier = set(revived)
    counts: Counter[int] = Counter()
    while frontier:
        behind: set[int] = set()
        for part in chunks(sorted(frontier)):
            for pid, number, kind, is_newest in session.execute(query.where(ProcessDependence.parent_pid.in_(part))):
                if number is not None and pid not in seen:
                    seen.add(pid)
                    behind.add(pid)
                    counts[number] += kind == LIGHT and is_newest
        frontier = behind
    return {number: count for number, count in sorted(counts.items()) if count}


def failed_masters(session: Session, graph_pids: Collection[int]) -> list[tuple[int, Ended]]:
    """Processes of other observations without success for which frames of these graphs were skipped, by graph."""
    query = (
        select(_child.graph_pid, *_COLUMNS)
        .join(ProcessDependence, ProcessDependence.parent_pid == Process.pid)
        .join(_child, _child.pid == ProcessDependence.child_pid)
        .where(
            _child.graph_pid.in_(graph_pids),
            _child.status == SKIPPED,
            ProcessDependence.required.is_(True),
            Process.status.in_(UNSUCCESSFUL),
            Process.observation_id != _child.observation_id,
        )
        .distinct()
    )
    return sorted((graph_pid, Ended(*ended)) for graph_pid, *ended in session.execute(query))
