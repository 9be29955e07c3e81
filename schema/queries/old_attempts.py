"""Attempts of processes that have succeeded: history, which nothing reads that still runs. And what retention did."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, select
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import SUCCEEDED, Process, ProcessAttempt
from schema.retention import RetentionRun

PROCESSES_AT_A_TIME = 1000


def _are_old(days: float) -> ColumnElement[bool]:
    """Attempts that ended so long ago, of a process that will not run again, since its children know of its success."""
    seconds = days * 86_400.0
    return and_(
        ProcessAttempt.finished_at < utc_now(-seconds),
        Process.finished_at < utc_now(-seconds),
        Process.status == SUCCEEDED,
        Process.propagated.is_(True),
    )


def count(session: Session, days: float) -> int:
    """How many there are."""
    query = select(func.count()).select_from(ProcessAttempt).join(Process, Process.pid == ProcessAttempt.pid)
    return int(session.scalar(query.where(_are_old(days))) or 0)


def next_pids(session: Session, days: float, behind: int) -> list[int]:
    """Processes that have such, in order of PID, behind one."""
    query = select(ProcessAttempt.pid).join(Process, Process.pid == ProcessAttempt.pid).distinct()
    ordered = query.where(_are_old(days), ProcessAttempt.pid > behind).order_by(ProcessAttempt.pid)
    return list(session.scalars(ordered.limit(PROCESSES_AT_A_TIME)))


def remove(session: Session, days: float, pids: list[int]) -> int:
    """Delete those of these processes; the caller commits."""
    old = ProcessAttempt.finished_at < utc_now(-days * 86_400.0)
    result: Any = session.execute(delete(ProcessAttempt).where(ProcessAttempt.pid.in_(pids), old))
    return int(result.rowcount)


def record(session: Session, **values: Any) -> None:
    """A call that has come to its end; the caller commits."""
    session.execute(insert(RetentionRun).values(**values, finished_at=utc_now()))


def last_run(session: Session, site_id: int | None) -> RetentionRun | None:
    """The newest call at a site; without a site of any."""
    query = select(RetentionRun)
    if site_id is not None:
        query = query.where(RetentionRun.site_id == site_id)
    return session.scalar(query.order_by(RetentionRun.run_id.desc()).limit(1))


def since_last_run_s(session: Session, site_id: int | None) -> float | None:
    """Seconds since the newest call at a site, by the database's clock; None: there was none."""
    last = last_run(session, site_id)
    if last is None:
        return None
    now: datetime = session.execute(select(utc_now())).scalar_one()
    return (now - last.finished_at).total_seconds()
