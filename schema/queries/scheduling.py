"""The life of a process, manager's side: count finished parents, take what is ready, free what was lost.

All of it is set-based; its cost follows the edges of what finished, never the number of waiting rows.
Rows are locked in the order of their primary key.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, case, func, or_, select, update
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import (
    FINISHED,
    QUEUED,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    Process,
    ProcessDependence,
    ProcessGroup,
    Site,
)

CHUNK = 1000  # values in one IN list
READY_INDEX = "ix_process_ready"


@dataclass(frozen=True)
class Ready:
    """A process to be sent to its queue; ``attempt`` is the one that the worker will make."""

    pid: int
    attempt: int
    site: str
    group: str


def chunks(pids: Sequence[int]) -> list[Sequence[int]]:
    """Pids in lists that one statement can take."""
    return [pids[start : start + CHUNK] for start in range(0, len(pids), CHUNK)]


def propagate(session: Session, limit: int = CHUNK) -> int:
    """Count up to ``limit`` finished processes in their children, exactly once each; returns how many.

    Children whose required dependency did not succeed become ``skipped`` and are counted by the next call.
    """
    finished = session.execute(
        select(Process.pid, Process.status)
        .where(Process.propagated.is_(False), Process.status.in_(FINISHED))
        .order_by(Process.pid)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not finished:
        return 0
    status = {row.pid: row.status for row in finished}
    for parents in chunks(list(status)):
        edges = session.execute(
            select(ProcessDependence.parent_pid, ProcessDependence.child_pid, ProcessDependence.required).where(
                ProcessDependence.parent_pid.in_(parents)
            )
        ).all()
        fewer = Counter(edge.child_pid for edge in edges)
        hopeless = sorted({e.child_pid for e in edges if e.required and status[e.parent_pid] != SUCCEEDED})
        _skip(session, hopeless)
        _count_down(session, fewer)
        session.execute(update(Process).where(Process.pid.in_(parents)).values(propagated=True))
    return len(finished)


def _skip(session: Session, pids: Sequence[int]) -> None:
    for part in chunks(pids):
        session.execute(
            update(Process)
            .where(Process.pid.in_(part), Process.status == WAITING)
            .values(status=SKIPPED, finished_at=utc_now(), error="a dependency that it requires did not succeed")
        )


def _count_down(session: Session, fewer: Counter[int]) -> None:
    by_count: dict[int, list[int]] = defaultdict(list)
    for pid, count in fewer.items():
        by_count[count].append(pid)
    for count, pids in sorted(by_count.items()):
        for part in chunks(sorted(pids)):
            # Never below zero: a process that an operator sent back has its dependencies counted already.
            left = case((Process.pending > count, Process.pending - count), else_=0)
            session.execute(
                update(Process).where(Process.pid.in_(part), Process.status == WAITING).values(pending=left)
            )


def ready_pids(limit: int) -> Select[int]:
    """The query of what may be sent now, locking as it goes.

    MySQL sorts a small table rather than walk the index, and then locks all of it; hence the hint.
    """
    query = (
        select(Process.pid)
        .where(
            Process.status == WAITING,
            Process.pending == 0,
            or_(Process.not_before.is_(None), Process.not_before <= utc_now()),
        )
        .order_by(Process.priority, Process.pid)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    for dialect in ("mysql", "mariadb"):
        query = query.with_hint(Process, f"FORCE INDEX ({READY_INDEX})", dialect)
    return query


def take_ready(session: Session, limit: int = CHUNK) -> list[Ready]:
    """Mark up to ``limit`` ready processes as queued, by priority then PID; the caller commits and then sends them."""
    pids = list(session.scalars(ready_pids(limit)))
    for part in chunks(pids):
        session.execute(update(Process).where(Process.pid.in_(part)).values(status=QUEUED, sent_at=None))
    return [ready for part in chunks(pids) for ready in _addressed(session, part)]


def _addressed(session: Session, pids: Sequence[int]) -> list[Ready]:
    rows = session.execute(
        select(Process.pid, Process.attempt, Site.name, ProcessGroup.name)
        .join(Site, Site.site_id == Process.site_id)
        .join(ProcessGroup, ProcessGroup.group_id == Process.group_id)
        .where(Process.pid.in_(pids))
        .order_by(Process.priority, Process.pid)
    )
    return [Ready(pid, attempt + 1, site, group) for pid, attempt, site, group in rows]


def mark_sent(session: Session, pids: Sequence[int]) -> None:
    """Note that the broker has confirmed the messages of these processes."""
    for part in chunks(pids):
        session.execute(
            update(Process).where(Process.pid.in_(part), Process.status == QUEUED).values(sent_at=utc_now())
        )


def unsent(session: Session, limit: int = CHUNK) -> list[Ready]:
    """Processes that are queued without a confirmed message: a manager died, or the broker was away."""
    pids = session.scalars(
        select(Process.pid)
        .where(Process.status == QUEUED, Process.sent_at.is_(None))
        .order_by(Process.pid)
        .limit(limit)
    ).all()
    return _addressed(session, pids) if pids else []


def queued_since(session: Session, seconds: float) -> dict[tuple[str, str], int]:
    """For each (site, group): processes whose message was sent longer than ``seconds`` ago and that nobody claimed."""
    rows = session.execute(
        select(Site.name, ProcessGroup.name, func.count())
        .select_from(Process)
        .join(Site, Site.site_id == Process.site_id)
        .join(ProcessGroup, ProcessGroup.group_id == Process.group_id)
        .where(Process.status == QUEUED, Process.sent_at < utc_now(-seconds))
        .group_by(Site.name, ProcessGroup.name)
    )
    return {(site, group): count for site, group, count in rows}


def forget_sent(session: Session, site: str, group: str, seconds: float) -> None:
    """Let the messages of a queue that lost them be sent again; a duplicate is dropped by the claim."""
    site_id = select(Site.site_id).where(Site.name == site).scalar_subquery()
    group_id = select(ProcessGroup.group_id).where(ProcessGroup.name == group).scalar_subquery()
    session.execute(
        update(Process)
        .where(
            Process.status == QUEUED,
            Process.sent_at < utc_now(-seconds),
            Process.site_id == site_id,
            Process.group_id == group_id,
        )
        .values(sent_at=None)
    )
