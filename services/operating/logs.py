"""What `tianyu logs` shows: one process with all its attempts, and what it waits for."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import and_, not_, select
from sqlalchemy.orm import Session

from schema.processes import (
    FINISHED,
    PausedGroup,
    Process,
    ProcessAttempt,
    ProcessDependence,
    ProcessGroup,
    Site,
)
from schema.queries.scheduling import counted
from services.errors import ConfigurationError
from services.operating.journeys import Journey, of_process


@dataclass(frozen=True)
class Attempt:
    """One time that a worker took the process; times are UTC, what is not known yet is None."""

    attempt: int
    worker: str
    host: str
    version: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    seconds: float | None
    cpu_seconds: float | None
    max_rss_bytes: int | None
    read_bytes: int | None
    write_bytes: int | None
    error_class: str | None
    error: str | None
    traceback: str | None


@dataclass(frozen=True)
class Parent:
    """A dependency that is not finished, or whose end is not yet counted."""

    pid: int
    command: str
    status: str
    required: bool


@dataclass(frozen=True)
class ProcessLog:
    """A process, its attempts in order, and what it waits for."""

    pid: int
    graph_pid: int
    origin_pid: int | None
    observation_id: int | None
    command: str
    parameters: str
    site: str
    group: str
    status: str
    priority: int
    attempt: int
    max_attempts: int
    created_at: datetime
    finished_at: datetime | None
    not_before: datetime | None
    paused_since: datetime | None
    error_class: str | None
    error: str | None
    waits_for: tuple[Parent, ...]
    attempts: tuple[Attempt, ...]
    journeys: tuple[Journey, ...]  # of the image that it brought from another site, if it did

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only; times are ISO 8601, UTC."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, tuple):
        return [{name: _plain(inner) for name, inner in item.items()} for item in value]
    return value


def read_log(session: Session, pid: int) -> ProcessLog:
    """All that is known of a process.

    Raises:
        ConfigurationError: there is no such process.
    """
    found = session.execute(
        select(Process, Site.name, ProcessGroup.name, PausedGroup.paused_at)
        .join(Site, Site.site_id == Process.site_id)
        .join(ProcessGroup, ProcessGroup.group_id == Process.group_id)
        .outerjoin(PausedGroup, and_(PausedGroup.site_id == Process.site_id, PausedGroup.group_id == Process.group_id))
        .where(Process.pid == pid)
    ).one_or_none()
    if found is None:
        raise ConfigurationError(f"there is no process {pid}: `tianyu status` names the PIDs of what failed or runs")
    process, site, group, paused_at = found
    unfinished = process.status not in FINISHED
    own = {one.name: getattr(process, one.name) for one in fields(ProcessLog) if hasattr(process, one.name)}
    return ProcessLog(
        **own,
        site=site,
        group=group,
        paused_since=paused_at if unfinished else None,
        waits_for=_parents(session, pid) if unfinished else (),
        attempts=_attempts(session, pid),
        journeys=of_process(session, pid),
    )


def _parents(session: Session, pid: int) -> tuple[Parent, ...]:
    rows = session.execute(
        select(Process.pid, Process.command, Process.status, ProcessDependence.required)
        .join(ProcessDependence, ProcessDependence.parent_pid == Process.pid)
        .where(ProcessDependence.child_pid == pid, not_(counted(Process)))
        .order_by(Process.pid)
    )
    return tuple(Parent(*row) for row in rows)


def _attempts(session: Session, pid: int) -> tuple[Attempt, ...]:
    columns = [getattr(ProcessAttempt, one.name) for one in fields(Attempt)]
    rows = session.execute(select(*columns).where(ProcessAttempt.pid == pid).order_by(ProcessAttempt.attempt))
    return tuple(Attempt(*row) for row in rows)
