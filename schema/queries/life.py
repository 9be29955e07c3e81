"""The life of a process, worker's side: claim, renew, succeed, fail.

``waiting → queued → running → succeeded | failed | skipped | cancelled``; a failed attempt goes back to
``waiting`` with a ``not_before``. Every change is guarded by the state that it expects; where the guard no
longer holds it changes no row and answers False: somebody else was faster. Each is a batch for the caller to run.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    ScalarSelect,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from schema.attempts import Claim, Failure, Usage
from schema.base import table_of, utc_now
from schema.prepared import Batch, Call, Found, Opened, Prepared, RowsChanged
from schema.processes import (
    FAILED,
    KILLED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    WAITING,
    Lease,
    Process,
    ProcessAttempt,
    ProcessGroup,
    Site,
)

ERROR_CHARACTERS = 4000  # of a message kept in the database
TRACEBACK_CHARACTERS = 16000


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
        # A message in the queue of others, say of a site with another root: it is not for this worker.
        _process.c.site_id == select(Site.site_id).where(Site.name == bindparam("site")).scalar_subquery(),
        _process.c.group_id
        == select(ProcessGroup.group_id).where(ProcessGroup.name == bindparam("group")).scalar_subquery(),
    )
    .values(status=RUNNING, attempt=bindparam("next_attempt"))
)
# Each goes on only where the one before it changed its row: together they are one round trip.
_if_changed = RowsChanged() == 1
_BEGIN_ATTEMPT = Prepared(
    insert(_attempt).from_select(
        ("pid", "attempt", "worker", "host", "version", "started_at"),
        select(
            _process.c.pid, _process.c.attempt, bindparam("worker"), bindparam("host"), bindparam("version"), utc_now()
        ).where(_process.c.pid == bindparam("held_pid"), _if_changed),
    )
)
_TAKE_LEASE = Prepared(
    insert(_lease).from_select(
        ("pid", "attempt", "worker", "lease_until"),
        select(
            _process.c.pid,
            _process.c.attempt,
            bindparam("worker"),
            utc_now(bindparam("lease_s", type_=Double)),
        ).where(_process.c.pid == bindparam("held_pid"), _if_changed),
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
        _process.c.choices_id,
    )
    .join(_lease, _lease.c.pid == _process.c.pid)
    .where(
        _process.c.pid == bindparam("held_pid"),
        _lease.c.attempt == bindparam("next_attempt"),
        _lease.c.worker == bindparam("worker"),
    )
)
_RENEW = Prepared(
    update(_lease)
    .where(_lease.c.pid == bindparam("held_pid"), _lease.c.attempt == bindparam("held_attempt"))
    .values(lease_until=utc_now(bindparam("lease_s", type_=Double)))
)
_SUCCEED = Prepared(
    update(_process).where(_held).values(status=SUCCEEDED, finished_at=utc_now(), error_class=None, error=None)
)
_why: dict[str, Any] = {"error_class": bindparam("error_class"), "error": bindparam("error")}
_FAIL = Prepared(update(_process).where(_held).values(status=FAILED, finished_at=utc_now(), **_why))
_SEND_BACK = Prepared(
    update(_process)
    .where(_held)
    .values(
        status=WAITING,
        not_before=utc_now(bindparam("retry_in_s", type_=Double)),
        max_attempts=_process.c.max_attempts + bindparam("more_attempts", type_=Integer),
        sent_at=None,
        **_why,
    )
)
_END_ATTEMPT = Prepared(
    update(_attempt)
    .where(_attempt.c.pid == bindparam("held_pid"), _attempt.c.attempt == bindparam("held_attempt"), _if_changed)
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
    delete(_lease).where(
        _lease.c.pid == bindparam("held_pid"), _lease.c.attempt == bindparam("held_attempt"), _if_changed
    )
)
_NO_USAGE = dict.fromkeys(("seconds", "cpu_seconds", "max_rss_bytes", "read_bytes", "write_bytes"))


def claim(
    pid: int,
    attempt: int,
    *,
    site: str,
    group: str,
    worker: str,
    host: str,
    version: str,
    lease_s: float,
) -> Batch[Claim | None]:
    """Take the process for ``worker``; None when the message is a duplicate, late, or not of this site and group.

    May be repeated by the same worker when it cannot know whether its commit reached the database.
    """
    held, who = {"held_pid": pid}, {"worker": worker}
    calls = (
        _CLAIM(**held, last_attempt=attempt - 1, next_attempt=attempt, site=site, group=group),
        _BEGIN_ATTEMPT(**held, **who, host=host, version=version),
        _TAKE_LEASE(**held, **who, lease_s=lease_s),
        _READ_CLAIM(**held, **who, next_attempt=attempt),
    )
    return Batch(calls, lambda found: Claim(*found[-1].rows[0]) if found[-1].rows else None)


def renew(pid: int, attempt: int, lease_s: float) -> Batch[bool]:
    """Prolong the lease; False when it was lost."""
    return Batch([_RENEW(held_pid=pid, held_attempt=attempt, lease_s=lease_s)], _changed)


def _changed(found: list[Found]) -> bool:
    return found[0].changed == 1


def _end(change: Call, outcome: str, usage: Usage | None, failure: Failure | None = None) -> Batch[bool]:
    """Change the process, then close its attempt and drop its lease; False when it is not held any more."""
    held = {name: change.values[name] for name in ("held_pid", "held_attempt")}
    values: dict[str, object] = {"outcome": outcome, "error_class": None, "error": None, "traceback": None}
    if failure is not None:
        values["error_class"] = failure.error_class
        values["error"] = failure.message[:ERROR_CHARACTERS]
        values["traceback"] = failure.traceback[-TRACEBACK_CHARACTERS:] if failure.traceback else None
    close = _END_ATTEMPT(**held, **values, **(_NO_USAGE if usage is None else vars(usage)))
    return Batch((change, close, _DROP_LEASE(**held)), _changed)


def succeed(pid: int, attempt: int, usage: Usage) -> Batch[bool]:
    """Mark success; False (and nothing may be committed) when this attempt no longer holds the process."""
    return _end(_SUCCEED(held_pid=pid, held_attempt=attempt), SUCCEEDED, usage)


def fail(
    pid: int,
    attempt: int,
    failure: Failure,
    *,
    retry_in_s: float | None,
    spared: bool = False,
    usage: Usage | None = None,
    outcome: str = FAILED,
) -> Batch[bool]:
    """End an attempt without success: wait ``retry_in_s`` and try again, or fail for good when it is None.

    An attempt that is ``spared`` does not count: there may be one more. The number of the attempt goes on, for it is
    what tells a worker that it lost its lease. False when this attempt no longer holds the process.
    """
    why = {"error_class": failure.error_class, "error": failure.message[:ERROR_CHARACTERS]}
    held = {"held_pid": pid, "held_attempt": attempt}
    change = (
        _FAIL(**held, **why)
        if retry_in_s is None
        else _SEND_BACK(**held, **why, retry_in_s=retry_in_s, more_attempts=int(spared))
    )
    return _end(change, outcome, usage, failure)


def address(opened: Opened, pid: int) -> tuple[str, str] | None:
    """Site and group of a process; None where there is no such process."""
    query = (
        select(Site.name, ProcessGroup.name)
        .select_from(_process)
        .join(Site, Site.site_id == _process.c.site_id)
        .join(ProcessGroup, ProcessGroup.group_id == _process.c.group_id)
        .where(_process.c.pid == pid)
    )
    row = opened.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def worker_deaths(opened: Opened, pid: int) -> list[str]:
    """What the attempts said that ended their worker, in order."""
    query = (
        select(_attempt.c.attempt, _attempt.c.error)
        .where(_attempt.c.pid == pid, _attempt.c.outcome == KILLED)
        .order_by(_attempt.c.attempt)
    )
    return [f"attempt {attempt}: {error}" for attempt, error in opened.execute(query)]


def alike_in_a_row(opened: Opened, pid: int, error_class: str) -> int:
    """How many of the last attempts that ended did so by an error of this class."""
    last_other = last_that_ended_otherwise(literal(pid), error_class)
    ended = (_attempt.c.pid == pid, _attempt.c.error_class == error_class, _attempt.c.attempt > last_other)
    return opened.execute(select(func.count()).select_from(_attempt).where(*ended)).scalar_one()


def last_that_ended_otherwise(pid: ColumnElement[int], error_class: str) -> ScalarSelect[int]:
    """In SQL, the number of the last attempt at a process that ended in another way than by this class; 0: none did."""
    ended = _attempt.alias()
    otherwise = or_(ended.c.error_class.is_(None), ended.c.error_class != error_class)
    query = select(func.coalesce(func.max(ended.c.attempt), 0))
    return query.where(ended.c.pid == pid, ended.c.outcome.is_not(None), otherwise).scalar_subquery()


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
