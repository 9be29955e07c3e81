"""What operators do to processes while consumers run: cancel and retry. Each is one transaction of the caller."""

from collections.abc import Sequence

from sqlalchemy import and_, delete, func, not_, select, update
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import (
    CANCELLED,
    FAILED,
    FINISHED,
    SKIPPED,
    UNFINISHED,
    WAITING,
    Lease,
    Process,
    ProcessAttempt,
    ProcessDependence,
)
from schema.queries.scheduling import chunks


def cancel(session: Session, pids: Sequence[int]) -> list[int]:
    """Cancel what is not finished: queued work never starts, running work commits nothing. Returns the PIDs changed."""
    changed: list[int] = []
    for part in chunks(sorted(pids)):
        live = list(
            session.scalars(
                select(Process.pid)
                .where(Process.pid.in_(part), Process.status.in_(UNFINISHED))
                .order_by(Process.pid)
                .with_for_update()
            )
        )
        session.execute(update(Process).where(Process.pid.in_(live)).values(status=CANCELLED, finished_at=utc_now()))
        session.execute(
            update(ProcessAttempt)
            .where(ProcessAttempt.pid.in_(live), ProcessAttempt.finished_at.is_(None))
            .values(outcome=CANCELLED, finished_at=utc_now())
        )
        session.execute(delete(Lease).where(Lease.pid.in_(live)))
        changed += live
    return changed


def retry(session: Session, pids: Sequence[int], *, more_attempts: int = 3) -> list[int]:
    """Send failed, skipped or cancelled processes back to waiting, with all that was skipped behind them.

    Their count of attempts goes on; each gets ``more_attempts``. Returns the PIDs changed.
    """
    wanted: list[int] = []
    for part in chunks(sorted(pids)):
        wanted += session.scalars(
            select(Process.pid).where(Process.pid.in_(part), Process.status.in_((FAILED, CANCELLED, SKIPPED)))
        )
    revived = set(wanted)
    frontier = list(wanted)
    while frontier:
        behind: set[int] = set()
        for part in chunks(sorted(frontier)):
            behind |= set(
                session.scalars(
                    select(ProcessDependence.child_pid)
                    .join(Process, Process.pid == ProcessDependence.child_pid)
                    .where(ProcessDependence.parent_pid.in_(part), Process.status == SKIPPED)
                )
            )
        frontier = sorted(behind - revived)
        revived |= behind
    for part in chunks(sorted(revived)):
        # Locked first: the manager must not count an end between the decision and the change.
        session.execute(select(Process.pid).where(Process.pid.in_(part)).order_by(Process.pid).with_for_update())
        session.execute(
            update(Process)
            .where(Process.pid.in_(part))
            .values(
                status=WAITING,
                propagated=False,
                not_before=None,
                sent_at=None,
                finished_at=None,
                error=None,
                error_class=None,
                max_attempts=Process.attempt + more_attempts,
            )
        )
    _recount(session, sorted(revived))
    return sorted(revived)


def _recount(session: Session, pids: Sequence[int]) -> None:
    """Count what revived processes and waiting children wait for, from the dependencies themselves."""
    affected = set(pids)
    for part in chunks(pids):
        affected |= set(
            session.scalars(
                select(ProcessDependence.child_pid)
                .join(Process, Process.pid == ProcessDependence.child_pid)
                .where(ProcessDependence.parent_pid.in_(part), Process.status == WAITING)
            )
        )
    for part in chunks(sorted(affected)):
        session.execute(select(Process.pid).where(Process.pid.in_(part)).order_by(Process.pid).with_for_update())
        counted = and_(Process.status.in_(FINISHED), Process.propagated.is_(True))
        pending = dict.fromkeys(part, 0)
        pending |= dict(
            session.execute(
                select(ProcessDependence.child_pid, func.count())
                .join(Process, Process.pid == ProcessDependence.parent_pid)
                .where(ProcessDependence.child_pid.in_(part), not_(counted))
                .group_by(ProcessDependence.child_pid)
            ).all()
        )
        by_count: dict[int, list[int]] = {}
        for pid, count in pending.items():
            by_count.setdefault(count, []).append(pid)
        for count, group in by_count.items():
            session.execute(
                update(Process).where(Process.pid.in_(group), Process.status == WAITING).values(pending=count)
            )
