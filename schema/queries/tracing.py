"""What a trace tells of an attempt besides what its worker knows."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from schema.processes import SUCCEEDED, Process, ProcessAttempt, ProcessDependence, ProcessGroup, Site


class Where(NamedTuple):
    """Of an attempt, UTC; ``sent_at``: when its message was sent to the broker, where that is known."""

    site: str
    group: str
    worker: str
    sent_at: datetime | None
    started_at: datetime


class Made(NamedTuple):
    """The attempt that made what a process depends on: of an earlier graph where that was taken over."""

    graph_pid: int
    pid: int
    attempt: int


def where(session: Session, pid: int, attempt: int) -> Where | None:
    """Where and since when an attempt was at work."""
    query = (
        select(Site.name, ProcessGroup.name, ProcessAttempt.worker, Process.sent_at, ProcessAttempt.started_at)
        .select_from(ProcessAttempt)
        .join(Process, Process.pid == ProcessAttempt.pid)
        .join(Site, Site.site_id == Process.site_id)
        .join(ProcessGroup, ProcessGroup.group_id == Process.group_id)
        .where(ProcessAttempt.pid == pid, ProcessAttempt.attempt == attempt)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else Where(*row)


def made_by(session: Session, pid: int, most: int) -> list[Made]:
    """Of what a process depends on, ``most`` that succeeded."""
    parent, origin = aliased(Process), aliased(Process)
    query = (
        select(
            func.coalesce(origin.graph_pid, parent.graph_pid),
            func.coalesce(origin.pid, parent.pid),
            func.coalesce(origin.attempt, parent.attempt),
        )
        .select_from(ProcessDependence)
        .join(parent, parent.pid == ProcessDependence.parent_pid)
        .outerjoin(origin, origin.pid == parent.origin_pid)
        .where(ProcessDependence.child_pid == pid, parent.status == SUCCEEDED)
        .limit(most)
    )
    return [Made(*row) for row in session.execute(query)]
