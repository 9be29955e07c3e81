"""Publishing: a graph of processes and their dependencies, all in the caller's one transaction."""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.base import table_of, utc_now
from schema.processes import FINISHED, SKIPPED, SUCCEEDED, WAITING, Process, ProcessDependence, ProcessGroup, Site
from schema.queries.measurements import insert_rows
from schema.queries.scheduling import NOT_WITHOUT, chunks
from schema.queries.taken_ends import insert_taken

PIDS_PER_MS = 1_000_000
ROWS_PER_INSERT = 5000
# What a process begins with, whatever becomes of it.
_BEGIN = (
    *("graph_pid", "command", "site_id", "group_id", "observation_id", "generation", "priority", "pending"),
    *("propagated", "max_attempts", "created_at", "not_before"),
)


class NewProcess(NamedTuple):
    """A process to be published; dependencies name PIDs of the same graph or of one published before."""

    pid: int
    command: str
    parameters: str
    group: str
    observation_id: int | None
    required: tuple[int, ...] = ()
    optional: tuple[int, ...] = ()
    priority: int = 0
    max_attempts: int = 3
    graph_pid: int = 0
    generation: int = 0
    result_key: str | None = None
    not_before: datetime | None = None  # UTC, without a zone; None: as soon as nothing is waited for
    site: str | None = None  # None: that of who publishes
    # Not stored: the parameters as data, and PIDs that it waits for or is told, where who laid it out knows them.
    told: Mapping[str, Any] | None = None
    needs: frozenset[int] | None = None


def new_pids(session: Session, last: int = 0) -> Iterator[int]:
    """PIDs greater than all that are stored, and than ``last``; see ``pids_from``.

    The time is the database's, and where a PID of a time to come is stored, they go on from that one: what is published
    later has the greater PIDs, whatever the clock of a host said or says.
    """
    stored = select(func.max(Process.pid)).scalar_subquery()
    clock, newest = session.execute(select(utc_now(), stored)).one()
    return pids_from(clock, newest or 0, last)


def pids_from(clock: datetime, newest: int = 0, last: int = 0) -> Iterator[int]:
    """PIDs that grow: Unix time (of ``clock``, UTC) in ms times 10^6 plus six digits, the first of them random.

    Two publishers that start in the same millisecond collide with a chance of graph size / 10^6 (a graph of more
    than 10^6 runs on into the next milliseconds); the primary key refuses the second, and publishing is tried again.
    """
    clock_ms = int(clock.replace(tzinfo=UTC).timestamp() * 1000)
    pid = max(last + 1, max(newest + 1, clock_ms * PIDS_PER_MS) + secrets.randbelow(PIDS_PER_MS))
    while True:
        yield pid
        pid += 1


def published_at(pid: int) -> float:
    """When a process was published, Unix seconds, by the PID that it was given then."""
    return pid / (1000 * PIDS_PER_MS)


def first_pid_of(time: float) -> int:
    """The least PID that may have been given at a time, Unix seconds."""
    return int(time * 1000) * PIDS_PER_MS


@dataclass(frozen=True)
class _Parents:
    """Parents that were there before what waits for them."""

    uncounted: set[int]  # their end is still to come, or still to be counted
    hopeless: set[int]  # they ended without success, and that is counted already


def _parents_outside(session: Session, processes: Sequence[NewProcess]) -> _Parents:
    """Look at the parents of other graphs, and lock them against counting and operators."""
    own = {process.pid for process in processes}
    pids = sorted({pid for process in processes for pid in (*process.required, *process.optional)} - own)
    outside = _Parents(set(), set())
    for part in chunks(pids):
        query = select(Process.pid, Process.status, Process.propagated).where(Process.pid.in_(part))
        for pid, status, propagated in session.execute(query.order_by(Process.pid).with_for_update()):
            if status not in FINISHED or not propagated:
                outside.uncounted.add(pid)
            elif status != SUCCEEDED:
                outside.hopeless.add(pid)
    return outside


def publish(
    session: Session,
    processes: Sequence[NewProcess],
    *,
    site: str,
    choices_id: int | None,
    origins: Mapping[int, int] | None = None,
    keys: Mapping[int, str | None] | None = None,
) -> None:
    """Insert processes and dependencies; ``choices_id``: of what they go by (`schema.queries.choices`).

    ``origins``: by PID, processes whose results those take over, which have their ends from the start; ``keys``: of
    those of these that do not have their origin's.

    A parent published before counts as pending until the manager has counted its end; what requires one that has ended
    without success is skipped from the start, and ``tianyu retry`` of that one revives it. So it is with what is taken
    over, but that nobody needs to count its end.

    Raises:
        LookupError: the site or a group is not registered.
    """
    sites = dict(session.execute(select(Site.name, Site.site_id)).all())
    for name in {site} | {process.site or site for process in processes}:
        if name not in sites:
            raise LookupError(f"site {name!r} is not registered: run `tianyu init` on a machine of that site")
    groups = dict(session.execute(select(ProcessGroup.name, ProcessGroup.group_id)).all())
    unknown = {process.group for process in processes} - groups.keys()
    if unknown:
        raise LookupError(f"groups {sorted(unknown)} are not registered: run `tianyu init`")
    origins = {} if origins is None else origins
    parents = _parents_outside(session, processes)
    # One clock reading for all, as text: the driver takes four times as long over each date.
    created_at = _text(session.execute(select(utc_now())).scalar_one())

    def begin(process: NewProcess, waits_for: set[int], *, is_counted: bool) -> tuple[Any, ...]:
        pending = sum(parent in waits_for for parent in (*process.required, *process.optional))
        return (
            *(process.graph_pid, process.command, sites[process.site or site], groups[process.group]),
            *(process.observation_id, process.generation, process.priority, pending, is_counted),
            *(process.max_attempts, created_at, _text(process.not_before)),
        )

    taken = [process for process in processes if process.pid in origins]
    if taken:
        begun = ((one, begin(one, parents.uncounted, is_counted=True)) for one in taken)
        insert_taken(session, _BEGIN, begun, origins, {} if keys is None else keys)
        parents.hopeless.update(_without_success(session, {process.graph_pid for process in taken}))
    waits_for = {process.pid for process in processes if process.pid not in origins} | parents.uncounted

    def row(process: NewProcess) -> tuple[Any, ...]:
        begun = begin(process, waits_for, is_counted=False)
        is_hopeless = not parents.hopeless.isdisjoint(process.required)
        end = (SKIPPED, created_at, NOT_WITHOUT) if is_hopeless else (WAITING, None, None)
        return (process.pid, process.parameters, choices_id, process.result_key, 0, *end, *begun)

    columns = ("pid", "parameters", "choices_id", "result_key", "attempt", "status", "finished_at", "error", *_BEGIN)
    new = (process for process in processes if process.pid not in origins)
    insert_rows(session, table_of(Process), columns, map(row, new))
    insert_rows(
        session,
        table_of(ProcessDependence),
        ("parent_pid", "child_pid", "required"),
        (
            (parent, p.pid, required)
            for p in processes
            for required, parents_of in ((1, p.required), (0, p.optional))
            for parent in parents_of
        ),
    )


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(sep=" ", timespec="microseconds")


def _without_success(session: Session, graph_pids: Collection[int]) -> Iterator[int]:
    """What was taken over as it failed, or was skipped."""
    query = select(Process.pid).where(Process.graph_pid.in_(graph_pids), Process.origin_pid.is_not(None))
    return iter(session.scalars(query.where(Process.status != SUCCEEDED)))


def generations(session: Session, observation_id: int) -> dict[str, int]:
    """How often each command of an observation was asked for anew."""
    query = select(Process.command, func.max(Process.generation).label("generation")).where(
        Process.observation_id == observation_id
    )
    return {row.command: row.generation for row in session.execute(query.group_by(Process.command))}


def result_keys(session: Session, pids: Collection[int]) -> dict[int, str]:
    """Keys of those of these processes that have one."""
    found: dict[int, str] = {}
    for part in chunks(sorted(pids)):
        query = select(Process.pid, Process.result_key).where(Process.pid.in_(part), Process.result_key.is_not(None))
        found |= {pid: key for pid, key in session.execute(query) if key is not None}
    return found
