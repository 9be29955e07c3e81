"""Single processes that matter to an operator: at work, or waiting for another try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import RUNNING, WAITING, Lease, Process, ProcessAttempt
from services.operating.status.alike import examples, gather, gist
from services.operating.status.observation_status import Retry, Running


@dataclass(frozen=True)
class AtWork:
    """A running process, and whose work it is."""

    observation_id: int | None
    graph_pid: int
    site_id: int
    group_id: int
    running: Running


def at_work(session: Session) -> list[AtWork]:
    """All that runs, the oldest first, with what is left of its lease by the database's clock."""
    rows = session.execute(
        select(
            Process.observation_id,
            Process.graph_pid,
            Process.site_id,
            Process.group_id,
            Process.pid,
            Process.command,
            Process.attempt,
            ProcessAttempt.worker,
            ProcessAttempt.host,
            ProcessAttempt.started_at,
            Lease.lease_until,
            utc_now(),
        )
        .join(ProcessAttempt, and_(ProcessAttempt.pid == Process.pid, ProcessAttempt.attempt == Process.attempt))
        .outerjoin(Lease, and_(Lease.pid == Process.pid, Lease.attempt == Process.attempt))
        .where(Process.status == RUNNING)
        .order_by(ProcessAttempt.started_at, Process.pid)
    )
    found = []
    for observation, graph_pid, site_id, group_id, pid, command, attempt, worker, host, since, until, now in rows:
        left = None if until is None else (until - now).total_seconds()
        running = Running(pid, command, attempt, worker, host, since, left)
        found.append(AtWork(observation, graph_pid, site_id, group_id, running))
    return found


def retries(session: Session) -> list[Retry]:
    """All that failed for a passing reason and waits for its next try, what is alike together, the next one first."""
    rows = session.execute(
        select(
            Process.observation_id,
            Process.command,
            Process.attempt,
            Process.max_attempts,
            Process.error_class,
            Process.error,
            Process.pid,
            Process.not_before,
            utc_now().label("now"),
        ).where(Process.status == WAITING, Process.pending == 0, Process.not_before > utc_now())
    ).all()
    groups = gather(rows, lambda row: (*row[:5], gist(row.error or "")))
    return sorted((_retry(group) for group in groups), key=lambda retry: (retry.next_in_s, retry.pids))


def _retry(group: Sequence[Any]) -> Retry:
    first = min(group, key=lambda row: row.pid)
    next_at = min(row.not_before for row in group)
    return Retry(
        first.observation_id,
        first.command,
        first.attempt,
        first.max_attempts,
        first.error_class,
        first.error or "no reason given",
        len(group),
        examples([row.pid for row in group]),
        next_at,
        (next_at - first.now).total_seconds(),
    )
