"""The life of a process, worker's side: claim, renew, succeed, fail.

``waiting → queued → running → succeeded | failed | skipped | cancelled``; a failed attempt goes back to
``waiting`` with a ``not_before``. Every change is guarded by the state that it expects; where the guard no
longer holds it changes no row and returns False: somebody else was faster.
"""

from dataclasses import dataclass

from sqlalchemy import delete, func, insert, literal, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import FAILED, QUEUED, RUNNING, SUCCEEDED, WAITING, Lease, Process, ProcessAttempt

ERROR_CHARACTERS = 4000  # of a message kept in the database
TRACEBACK_CHARACTERS = 16000


@dataclass(frozen=True)
class Claim:
    """What a worker needs to know of the process that it holds."""

    pid: int
    attempt: int
    max_attempts: int
    command: str
    parameters: str  # JSON, validated by the step
    graph_pid: int
    observation_id: int | None


@dataclass(frozen=True)
class Usage:
    """What an attempt cost; None where the platform does not tell."""

    seconds: float
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended without success; ``error_class`` is transient, data or configuration."""

    error_class: str
    message: str
    traceback: str | None = None


def _changed(result: object) -> bool:
    assert isinstance(result, CursorResult)
    return bool(result.rowcount == 1)


def claim(
    session: Session, pid: int, attempt: int, *, worker: str, host: str, version: str, lease_s: float
) -> Claim | None:
    """Take the process for ``worker``, or return None when the message is a duplicate or late."""
    taken = session.execute(
        update(Process)
        .where(Process.pid == pid, Process.status == QUEUED, Process.attempt == attempt - 1)
        .values(status=RUNNING, attempt=attempt)
    )
    if not _changed(taken):
        return None
    session.execute(
        insert(ProcessAttempt).values(
            pid=pid, attempt=attempt, worker=worker, host=host, version=version, started_at=utc_now()
        )
    )
    session.execute(insert(Lease).values(pid=pid, attempt=attempt, worker=worker, lease_until=utc_now(lease_s)))
    row = session.execute(
        select(
            Process.max_attempts, Process.command, Process.parameters, Process.graph_pid, Process.observation_id
        ).where(Process.pid == pid)
    ).one()
    return Claim(pid, attempt, *row)


def renew(session: Session, pid: int, attempt: int, lease_s: float) -> bool:
    """Prolong the lease; False when it was lost."""
    return _changed(
        session.execute(
            update(Lease).where(Lease.pid == pid, Lease.attempt == attempt).values(lease_until=utc_now(lease_s))
        )
    )


def _close_attempt(
    session: Session, pid: int, attempt: int, outcome: str, usage: Usage | None, failure: Failure | None = None
) -> None:
    values: dict[str, object] = {"outcome": outcome, "finished_at": utc_now()}
    if usage is not None:
        values |= vars(usage)
    if failure is not None:
        values |= {
            "error_class": failure.error_class,
            "error": failure.message[:ERROR_CHARACTERS],
            "traceback": failure.traceback[-TRACEBACK_CHARACTERS:] if failure.traceback else None,
        }
    session.execute(
        update(ProcessAttempt).where(ProcessAttempt.pid == pid, ProcessAttempt.attempt == attempt).values(**values)
    )
    session.execute(delete(Lease).where(Lease.pid == pid, Lease.attempt == attempt))


def succeed(session: Session, pid: int, attempt: int, usage: Usage) -> bool:
    """Mark success; False (and nothing may be committed) when this attempt no longer holds the process."""
    held = session.execute(
        update(Process)
        .where(Process.pid == pid, Process.attempt == attempt, Process.status == RUNNING)
        .values(status=SUCCEEDED, finished_at=utc_now(), error_class=None, error=None)
    )
    if not _changed(held):
        return False
    _close_attempt(session, pid, attempt, SUCCEEDED, usage)
    return True


def fail(
    session: Session,
    pid: int,
    attempt: int,
    failure: Failure,
    *,
    retry_in_s: float | None,
    usage: Usage | None = None,
    outcome: str = FAILED,
) -> bool:
    """End an attempt without success: wait ``retry_in_s`` and try again, or fail for good when it is None.

    False when this attempt no longer holds the process.
    """
    values: dict[str, object] = {"error_class": failure.error_class, "error": failure.message[:ERROR_CHARACTERS]}
    if retry_in_s is None:
        values |= {"status": FAILED, "finished_at": utc_now()}
    else:
        values |= {"status": WAITING, "not_before": utc_now(retry_in_s), "sent_at": None}
    held = session.execute(
        update(Process)
        .where(Process.pid == pid, Process.attempt == attempt, Process.status == RUNNING)
        .values(**values)
    )
    if not _changed(held):
        return False
    _close_attempt(session, pid, attempt, outcome, usage, failure)
    return True


def expired_leases(session: Session) -> list[tuple[int, int, str, int]]:
    """(pid, attempt, worker, max_attempts) of running processes whose worker stopped renewing its lease."""
    rows = session.execute(
        select(Lease.pid, Lease.attempt, Lease.worker, Process.max_attempts)
        .join(Process, Process.pid == Lease.pid)
        .where(Lease.lease_until < utc_now())
        .order_by(Lease.pid)
    )
    return [(row.pid, row.attempt, row.worker, row.max_attempts) for row in rows]


def expire_all_leases(session: Session) -> int:
    """Expire every lease: only for a caller who knows that no worker is alive. Returns how many there were."""
    held = session.execute(select(func.count()).select_from(Lease)).scalar_one()
    session.execute(update(Lease).values(lease_until=utc_now(-1.0)).where(literal(True)))
    return int(held)
