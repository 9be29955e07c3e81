"""Publishing: a graph of processes and their dependencies, all in the caller's one transaction."""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, insert, not_, select
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import FINISHED, Process, ProcessDependence, ProcessGroup, Site
from schema.queries.scheduling import chunks

PIDS_PER_MS = 1_000_000
ROWS_PER_INSERT = 5000


@dataclass(frozen=True)
class NewProcess:
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
    graph_pid: int = field(default=0)


def new_pids(last: int = 0) -> Iterator[int]:
    """PIDs that grow from now on: Unix time in ms times 10^6 plus six digits, the first of them random.

    Two publishers that start in the same millisecond collide with a chance of graph size / 10^6 (a graph of more
    than 10^6 runs on into the next milliseconds); the primary key refuses the second, and publishing is tried again.
    """
    pid = max(last + 1, int(time.time() * 1000) * PIDS_PER_MS + secrets.randbelow(PIDS_PER_MS))
    while True:
        yield pid
        pid += 1


def _parents_outside(session: Session, processes: Sequence[NewProcess]) -> set[int]:
    """PIDs of parents that were published before and whose end is not yet counted; locked against counting."""
    own = {process.pid for process in processes}
    outside = sorted({pid for process in processes for pid in (*process.required, *process.optional)} - own)
    unfinished: set[int] = set()
    for part in chunks(outside):
        counted = and_(Process.status.in_(FINISHED), Process.propagated.is_(True))
        unfinished |= set(
            session.scalars(
                select(Process.pid).where(Process.pid.in_(part), not_(counted)).order_by(Process.pid).with_for_update()
            )
        )
    return unfinished


def publish(session: Session, processes: Sequence[NewProcess], *, site: str) -> None:
    """Insert processes and dependencies.

    A parent published before counts as pending until the manager has counted its end.

    Raises:
        LookupError: the site or a group is not registered.
    """
    site_id = session.scalar(select(Site.site_id).where(Site.name == site))
    if site_id is None:
        raise LookupError(f"site {site!r} is not registered: run `tianyu init`")
    groups = dict(session.execute(select(ProcessGroup.name, ProcessGroup.group_id)).all())
    unknown = {process.group for process in processes} - groups.keys()
    if unknown:
        raise LookupError(f"groups {sorted(unknown)} are not registered: run `tianyu init`")
    own = {process.pid for process in processes}
    still_pending = own | _parents_outside(session, processes)
    # One clock reading for all: a column of SQL expressions would send one statement a row.
    now = session.execute(select(utc_now())).scalar_one()
    rows = [
        {
            "pid": p.pid,
            "graph_pid": p.graph_pid,
            "command": p.command,
            "parameters": p.parameters,
            "site_id": site_id,
            "group_id": groups[p.group],
            "observation_id": p.observation_id,
            "pending": sum(parent in still_pending for parent in (*p.required, *p.optional)),
            "priority": p.priority,
            "max_attempts": p.max_attempts,
            "created_at": now,
        }
        for p in processes
    ]
    edges = [
        {"parent_pid": parent, "child_pid": p.pid, "required": required}
        for p in processes
        for required, parents in ((True, p.required), (False, p.optional))
        for parent in parents
    ]
    for start in range(0, len(rows), ROWS_PER_INSERT):
        session.execute(insert(Process), rows[start : start + ROWS_PER_INSERT])
    for start in range(0, len(edges), ROWS_PER_INSERT):
        session.execute(insert(ProcessDependence), edges[start : start + ROWS_PER_INSERT])
