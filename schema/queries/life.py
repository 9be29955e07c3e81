"""The life of a process, worker's side: claim, renew, succeed, fail.

``waiting → queued → running → succeeded | failed | skipped | cancelled``; a failed attempt goes back to
``waiting`` with a ``not_before``. Every change is guarded by the state that it expects; where the guard no
longer holds it changes no row and returns False: somebody else was faster.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Double, and_, bindparam, delete, func, insert, literal, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from schema.base import table_of, utc_now
from schema.prepared import Prepared
from schema.processes import FAILED, KILLED, QUEUED, RUNNING, SUCCEEDED, WAITING, Lease, Process, ProcessAttempt

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
    """Why an attempt ended without success; ``error_class`` is transient, data, configuration, bug or poison."""

    error_class: str
    message: str
    traceback: str | None = None


_process, _attempt, _lease = table_of(Process), table_of(ProcessAttempt), table_of(Lease)
_held = and_(
    _process.c.pid == bindparam("held_pid"),
    _process.c.attempt == bindparam("held_attempt"),
    _process.c.status == RUNNING,
)
_CLAIM = Prepared(
    update(_process)
    .where(
        _process.c.pid == bindparam("held_pid"),
        _process.c.status == QUEUED,
        _process.c.attempt == bindparam("last_attempt"),
    )
    .values(status=RUNNING, attempt=bindparam("next_attempt"))
)
_BEGIN_ATTEMPT = Prepared(
    insert(_attempt).values(
        pid=bindparam("pid"),
        attempt=bindparam("attempt"),
        worker=bindparam("worker"),
        host=bindparam("host"),
        version=bindparam("version"),
        started_at=utc_now(),
    )
)
_TAKE_LEASE = Prepared(
    insert(_lease).values(
        pid=bindparam("pid"),
        attempt=bindparam("attempt"),
        worker=bindparam("worker"),
        lease_until=utc_now(bindparam("lease_s", type_=Double)),
    )
)
_READ_CLAIM = Prepared(
    select(
        _process.c.pid,
        _process.c.attempt,
        _process.c.max_attempts,
        _process.c.command,
        _process.c.parameters,
        _process.c.graph_pid,
        _process.c.observation_id,
    ).where(_process.c.pid == bindparam("held_pid"))
)
_RENEW = Prepared(
    update(_lease)
    .where(_lease.c.pid == bindparam("held_pid"), _lease.c.attempt == bindparam("held_attempt"))
    .values(lease_until=utc_now(bindparam("lease_s", type_=Double)))
)
_OWN_LEASE = Prepared(
    select(_lease.c.pid).where(
        _lease.c.pid == bindparam("held_pid"),
        _lease.c.attempt == bindparam("held_attempt"),
        _lease.c.worker == bindparam("held_worker"),
    )
)
_SUCCEED = Prepared(
    update(_process).where(_held).values(status=SUCCEEDED, finished_at=utc_now(), error_class=None, error=None)
)
_END_ATTEMPT = Prepared(
    update(_attempt)
    .where(_attempt.c.pid == bindparam("held_pid"), _attempt.c.attempt == bindparam("held_attempt"))
    .values(
        finished_at=utc_now(),
        **{
            name: bindparam(name)
            for name in (
                "outcome",
                "seconds",
                "cpu_seconds",
                "max_rss_bytes",
                "read_bytes",
                "write_bytes",
                "error_class",
                "error",
                "traceback",
            )
        },
    )
)
_DROP_LEASE = Prepared(
    delete(_lease).where(_lease.c.pid == bindparam("held_pid"), _lease.c.attempt == bindparam("held_attempt"))
)
_NO_USAGE = dict.fromkeys(("seconds", "cpu_seconds", "max_rss_bytes", "read_bytes", "write_bytes"))


def _changed(result: object) -> bool:
    assert isinstance(result, CursorResult)
    return bool(result.rowcount == 1)


def claim(
    session: Session, pid: int, attempt: int, *, worker: str, host: str, version: str, lease_s: float
) -> Claim | None:
    """Take the process for ``worker``, or return None when the message is a duplicate or late.

    May be repeated by the same worker when it cannot know whether its commit reached the database.
    """
    connection = session.connection()
    if _CLAIM.change(connection, held_pid=pid, last_attempt=attempt - 1, next_attempt=attempt):
        facts = {"pid": pid, "attempt": attempt, "worker": worker}
        _BEGIN_ATTEMPT.change(connection, **facts, host=host, version=version)
        _TAKE_LEASE.change(connection, **facts, lease_s=lease_s)
    elif _OWN_LEASE.first(connection, held_pid=pid, held_attempt=attempt, held_worker=worker) is None:
        return None
    row = _READ_CLAIM.first(connection, held_pid=pid)
    assert row is not None
    return Claim(*row)


def renew(session: Session, pid: int, attempt: int, lease_s: float) -> bool:
    """Prolong the lease; False when it was lost."""
    return _RENEW.change(session.connection(), held_pid=pid, held_attempt=attempt, lease_s=lease_s) == 1


def _close_attempt(
    connection: Connection,
    pid: int,
    attempt: int,
    outcome: str,
    usage: Usage | None,
    failure: Failure | None = None,
) -> None:
    held = {"held_pid": pid, "held_attempt": attempt}
    values: dict[str, object] = {"outcome": outcome, "error_class": None, "error": None, "traceback": None}
    if failure is not None:
        values["error_class"] = failure.error_class
        values["error"] = failure.message[:ERROR_CHARACTERS]
        values["traceback"] = failure.traceback[-TRACEBACK_CHARACTERS:] if failure.traceback else None
    _END_ATTEMPT.change(connection, **held, **values, **(_NO_USAGE if usage is None else vars(usage)))
    _DROP_LEASE.change(connection, **held)


def succeed(session: Session, pid: int, attempt: int, usage: Usage) -> bool:
    """Mark success; False (and nothing may be committed) when this attempt no longer holds the process."""
    connection = session.connection()
    if not _SUCCEED.change(connection, held_pid=pid, held_attempt=attempt):
        return False
    _close_attempt(connection, pid, attempt, SUCCEEDED, usage)
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
    connection = session.connection()
    held = connection.execute(
        update(_process).where(_held).values(**values), {"held_pid": pid, "held_attempt": attempt}
    )
    if not _changed(held):
        return False
    _close_attempt(connection, pid, attempt, outcome, usage, failure)
    return True


def worker_deaths(session: Session, pid: int) -> list[str]:
    """What the attempts said that ended their worker, in order."""
    query = (
        select(_attempt.c.attempt, _attempt.c.error)
        .where(_attempt.c.pid == pid, _attempt.c.outcome == KILLED)
        .order_by(_attempt.c.attempt)
    )
    return [f"attempt {attempt}: {error}" for attempt, error in session.execute(query)]


EXPIRED = (
    select(_lease.c.pid, _lease.c.attempt, _lease.c.worker, _process.c.max_attempts)
    .join(_process, _process.c.pid == _lease.c.pid)
    .where(_lease.c.lease_until < utc_now())
)


def expired_leases(session: Session) -> list[tuple[int, int, str, int]]:
    """(pid, attempt, worker, max_attempts) of running processes whose worker stopped renewing its lease."""
    return sorted((row.pid, row.attempt, row.worker, row.max_attempts) for row in session.execute(EXPIRED))


def expire_all_leases(session: Session) -> int:
    """Expire every lease: only for a caller who knows that no worker is alive. Returns how many there were."""
    held = session.execute(select(func.count()).select_from(Lease)).scalar_one()
    session.execute(update(Lease).values(lease_until=utc_now(-1.0)).where(literal(True)))
    return int(held)
