"""Single processes that matter to an operator: at work, or waiting for another try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, not_, select
from sqlalchemy.orm import Session

from schema.base import table_of, utc_now
from schema.processes import QUEUED, RUNNING, WAITING, Lease, Process, ProcessAttempt
from schema.queries import attempt_history
from services.alike import examples, gather, gist
from services.errors import SurroundingsError
from services.operating.status.observation_status import NOT_YET, Hindered, Retry, Running

_SURROUNDINGS = SurroundingsError.error_class
_OF_SURROUNDINGS = func.coalesce(Process.error_class, "") == _SURROUNDINGS


@dataclass(frozen=True)
class AtWork:
    """A running process, and whose work it is."""

    observation_id: int | None
    graph_pid: int
    site_id: int
    group_id: int
    running: Running


def at_work(session: Session) -> list[AtWork]:
    """All that runs, the oldest first, with what is left of its lease by the database's clock.

    A process is there twice where a second attempt is at work beside a slow one.
    """
    asked = select(
        Process.observation_id,
        Process.graph_pid,
        Process.site_id,
        Process.group_id,
        Process.pid,
        Process.command,
        ProcessAttempt.attempt,
        ProcessAttempt.worker,
        ProcessAttempt.host,
        ProcessAttempt.started_at,
        Lease.lease_until,
        utc_now(),
    )
    tried = (ProcessAttempt.pid == Process.pid, Lease.pid == Process.pid)
    newest = (
        asked.join(ProcessAttempt, and_(tried[0], ProcessAttempt.attempt == Process.attempt))
        .outerjoin(Lease, and_(tried[1], Lease.attempt == Process.attempt))
        .where(Process.status == RUNNING)
    )
    slow = asked.join(Lease, and_(tried[1], Lease.attempt == Process.slow_attempt)).join(
        ProcessAttempt, and_(tried[0], ProcessAttempt.attempt == Process.slow_attempt)
    )
    rows = [*session.execute(newest), *session.execute(slow)]
    found = []
    for observation, graph_pid, site_id, group_id, pid, command, attempt, worker, host, since, until, now in sorted(
        rows, key=lambda row: (row.started_at, row.pid, row.attempt)
    ):
        left = None if until is None else (until - now).total_seconds()
        running = Running(pid, command, attempt, worker, host, since, left)
        found.append(AtWork(observation, graph_pid, site_id, group_id, running))
    return found


def retries(session: Session) -> list[Retry]:
    """All that failed for a passing reason and waits for its next try, what is alike together, the next one first.

    And exposures whose plan has not begun, after attempt 0.
    """
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
        ).where(Process.status == WAITING, Process.pending == 0, Process.not_before > utc_now(), not_(_OF_SURROUNDINGS))
    ).all()
    groups = gather(rows, lambda row: (*row[:5], gist(row.error or "")))
    return sorted((_retry(group) for group in groups), key=lambda retry: (retry.next_in_s, retry.pids))


def hindered(session: Session) -> list[Hindered]:
    """All that waits for its surroundings, by observation, or is on its way to be tried again."""
    # Since then, the surroundings were at fault in each attempt.
    last_other = attempt_history.last_that_ended_otherwise(table_of(Process).c.pid, _SURROUNDINGS)
    rows = session.execute(
        select(
            Process.observation_id,
            Process.pid,
            Process.error,
            Process.not_before,
            func.min(ProcessAttempt.finished_at).label("since"),
            func.max(ProcessAttempt.finished_at).label("last"),
            utc_now().label("now"),
        )
        .join(ProcessAttempt, and_(ProcessAttempt.pid == Process.pid, ProcessAttempt.attempt > last_other))
        .where(Process.status.in_((WAITING, QUEUED)), Process.pending == 0, _OF_SURROUNDINGS)
        .group_by(Process.observation_id, Process.pid, Process.error, Process.not_before)
    ).all()
    groups = gather(rows, lambda row: row.observation_id)
    return sorted((_hindered(group) for group in groups), key=lambda one: (one.since, one.pids))


def _hindered(group: Sequence[Any]) -> Hindered:
    newest = max(group, key=lambda row: (row.last, row.pid))
    next_in_s = min((row.not_before - row.now).total_seconds() for row in group)
    pids = examples([row.pid for row in group])
    since = min(row.since for row in group)
    return Hindered(newest.observation_id, len(group), pids, newest.error, since, max(next_in_s, 0.0))


def _retry(group: Sequence[Any]) -> Retry:
    first = min(group, key=lambda row: row.pid)
    next_at = min(row.not_before for row in group)
    return Retry(
        first.observation_id,
        first.command,
        first.attempt,
        first.max_attempts,
        first.error_class,
        first.error or ("no reason given" if first.attempt else NOT_YET),
        len(group),
        examples([row.pid for row in group]),
        next_at,
        (next_at - first.now).total_seconds(),
    )
