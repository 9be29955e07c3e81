"""How many processes are in which state, for those who ask again and again: each question reads one index, or few rows.

The oldest is told by its PID, which begins with the time when it was published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.observing import LIGHT, Observation, Target
from schema.processes import FAILED, QUEUED, Lease, Process, ProcessAttempt, PublishedChoices, Site


@dataclass(frozen=True)
class InQueue:
    """Processes of a site and group in one state; ``waits``: for other processes."""

    site_id: int
    group_id: int
    status: str
    waits: bool
    count: int
    oldest_pid: int


def by_queue(session: Session) -> list[InQueue]:
    """All processes; reads index `ix_process_ready`."""
    waits = Process.pending > 0
    key = (Process.site_id, Process.group_id, Process.status, waits)
    rows = session.execute(select(*key, func.count(), func.min(Process.pid)).group_by(*key))
    return [
        InQueue(site, group, status, bool(waiting), count, oldest)
        for site, group, status, waiting, count, oldest in rows
    ]


def by_command(session: Session) -> Sequence[tuple[str, str, int]]:
    """Command, state and number; reads the index of observations, commands and states."""
    key = (Process.command, Process.status)
    return [
        (command, status, count)
        for command, status, count in session.execute(select(*key, func.count()).group_by(*key))
    ]


def failed(session: Session) -> Sequence[tuple[str, str | None, int]]:
    """Command, class of the error and number of what has failed for good."""
    key = (Process.command, Process.error_class)
    rows = session.execute(select(*key, func.count()).where(Process.status == FAILED).group_by(*key))
    return [(command, error_class, count) for command, error_class, count in rows]


def oldest_sent(session: Session) -> dict[tuple[int, int], datetime]:
    """By site and group: since when the oldest message that the broker has waits for a consumer."""
    key = (Process.site_id, Process.group_id)
    query = select(*key, func.min(Process.sent_at)).where(Process.status == QUEUED, Process.sent_at.is_not(None))
    return {(site, group): since for site, group, since in session.execute(query.group_by(*key)) if since}


def oldest_at_work(session: Session) -> dict[tuple[int, int], datetime]:
    """By site and group: since when the oldest attempt that holds a lease is at work."""
    key = (Process.site_id, Process.group_id)
    query = (
        select(*key, func.min(ProcessAttempt.started_at))
        .select_from(Lease)
        .join(Process, Process.pid == Lease.pid)
        .join(ProcessAttempt, (ProcessAttempt.pid == Lease.pid) & (ProcessAttempt.attempt == Lease.attempt))
        .group_by(*key)
    )
    return {(site, group): since for site, group, since in session.execute(query)}


def observations(session: Session) -> int:
    """How many observations there are."""
    return session.scalar(select(func.count()).select_from(Observation)) or 0


@dataclass(frozen=True)
class Calibrated:
    """An observation of the sky, and what the newest `calibrate` of its graph was published with (JSON)."""

    site: str
    reduced: str
    parameters: str
    choices: str | None


def calibrated(session: Session, since_pid: int) -> list[Calibrated]:
    """Of graphs from this PID on that observations show."""
    newest = (
        select(func.max(Process.pid).label("pid"))
        .select_from(Observation)
        .join(Target, Target.target_id == Observation.target_id)
        .join(Process, Process.observation_id == Observation.observation_id)
        .where(Target.kind == LIGHT, Observation.graph_pid >= since_pid)
        .where(Process.command == "calibrate", Process.graph_pid == Observation.graph_pid)
        .group_by(Observation.observation_id)
        .subquery()  # found once; a query within the join would be asked for each of a night's processes
    )
    query = (
        select(Site.name, Observation.reduced, Process.parameters, PublishedChoices.choices)
        .select_from(newest)
        .join(Process, Process.pid == newest.c.pid)
        .join(Observation, Observation.observation_id == Process.observation_id)
        .join(Site, Site.site_id == Process.site_id)
        .outerjoin(PublishedChoices, PublishedChoices.choices_id == Process.choices_id)
    )
    return [Calibrated(*row) for row in session.execute(query)]


def now(session: Session) -> datetime:
    """The database's clock, UTC."""
    return session.execute(select(utc_now())).scalar_one()
