"""The life of a process, worker's side: claim, renew, succeed, fail.

``waiting → queued → running → succeeded | failed | skipped | cancelled``; a failed attempt goes back to
``waiting`` with a ``not_before``. Every change is guarded by the state that it expects; where the guard no
longer holds it changes no row and answers False: somebody else was faster. Each is a batch for the caller to run.

Beside an attempt that is slow another may be offered (`stragglers`). The process then goes its usual way by the newer
one, and the slow one may still succeed: the first that does ends the process.
"""

from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Double,
    Integer,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from schema.attempts import Claim, Failure, Usage
from schema.base import table_of, utc_now
from schema.prepared import Batch, Call, Found, Opened, Prepared
from schema.processes import (
    FAILED,
    FINISHED,
    OUTRUN,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    UNFINISHED,
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
_pid = _process.c.pid == bindparam("held_pid")
_by_attempt: BindParameter[int] = bindparam("held_attempt")
_running = and_(_process.c.attempt == _by_attempt, _process.c.status == RUNNING)
_slow = _process.c.slow_attempt == _by_attempt
_held, _held_slow = and_(_pid, _running), and_(_pid, _slow)
_NONE_SLOW: dict[str, Any] = {"slow_attempt": None, "slow_consumer": None}
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
        or_(_process.c.slow_consumer.is_(None), _process.c.slow_consumer != bindparam("consumer")),
    )
    .values(status=RUNNING, attempt=bindparam("next_attempt"))
)
# What follows a change of a process asks for the state that it leaves, not for `ROW_COUNT()`: all of it is one round
# trip, and servers carry out to its COMMIT what they were sent by a client that has gone meanwhile, with a row count
# of -1 where an answer could not be sent. The first change would stay alone, a running process without a lease.
_claimed = and_(_pid, _process.c.attempt == bindparam("next_attempt"), _process.c.status == RUNNING)


def _is_new(table: Table) -> ColumnElement[bool]:
    """Whether there is no such row of this attempt: the claim is not a repeated one, nor another's."""
    mine = and_(table.c.pid == bindparam("held_pid"), table.c.attempt == bindparam("next_attempt"))
    return not_(exists().where(mine).select_from(table))


_BEGIN_ATTEMPT = Prepared(
    insert(_attempt).from_select(
        ("pid", "attempt", "worker", "host", "version", "started_at"),
        select(
            _process.c.pid, _process.c.attempt, bindparam("worker"), bindparam("host"), bindparam("version"), utc_now()
        ).where(_claimed, _is_new(_attempt)),
    )
)
_TAKE_LEASE = Prepared(
    insert(_lease).from_select(
        ("pid", "attempt", "worker", "lease_until"),
        select(
            _process.c.pid, _process.c.attempt, bindparam("worker"), utc_now(bindparam("lease_s", type_=Double))
        ).where(_claimed, _is_new(_lease)),
    )
)
_READ_CLAIM = Prepared(
    select(
        _process.c.pid,
        _lease.c.attempt,
        _process.c.max_attempts,
        _process.c.command,
        _process.c.parameters,
        _process.c.graph_pid,
        _process.c.observation_id,
        _process.c.choices_id,
        _process.c.slow_attempt,
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
    update(_process)
    .where(_pid, or_(_running, _slow), _process.c.status.in_(UNFINISHED))
    .values(status=SUCCEEDED, attempt=_by_attempt, finished_at=utc_now(), error_class=None, error=None, **_NONE_SLOW)
)
_why: dict[str, Any] = {"error_class": bindparam("error_class"), "error": bindparam("error")}
_FAIL = Prepared(update(_process).where(_held).values(status=FAILED, finished_at=utc_now(), **_why, **_NONE_SLOW))
_LET_GO = Prepared(update(_process).where(_held_slow).values(**_NONE_SLOW))
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
# An attempt is open, and leased, as long as its process is held by it.
_is_over = not_(exists().where(_pid, or_(_running, _slow)).select_from(_process))
_is_finished = exists().where(_pid, _process.c.status.in_(FINISHED)).select_from(_process)
_END_ATTEMPT = Prepared(
    update(_attempt)
    .where(
        _attempt.c.pid == bindparam("held_pid"),
        _attempt.c.attempt == bindparam("held_attempt"),
        _attempt.c.finished_at.is_(None),
        _is_over,
    )
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
    delete(_lease).where(_lease.c.pid == bindparam("held_pid"), _lease.c.attempt == bindparam("held_attempt"), _is_over)
)
# Where the process itself has ended.
_DROP_ALL_LEASES = Prepared(delete(_lease).where(_lease.c.pid == bindparam("held_pid"), _is_finished))
_END_OTHERS = Prepared(
    update(_attempt)
    .where(_attempt.c.pid == bindparam("held_pid"), _attempt.c.finished_at.is_(None), _is_finished)
    .values(finished_at=utc_now(), outcome=OUTRUN)
)
_USAGE = ("seconds", "cpu_seconds", "max_rss_bytes", "read_bytes", "write_bytes")


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

    None also where the worker's own consumer has the slow attempt beside which this one was offered: `hand_on`.
    May be repeated by the same worker when it cannot know whether its commit reached the database.
    """
    held, who = {"held_pid": pid, "next_attempt": attempt}, {"worker": worker}
    calls = (
        _CLAIM(**held, last_attempt=attempt - 1, site=site, group=group, consumer=consumer_of(worker)),
        _BEGIN_ATTEMPT(**held, **who, host=host, version=version),
        _TAKE_LEASE(**held, **who, lease_s=lease_s),
        _READ_CLAIM(**held, **who),
    )
    return Batch(calls, lambda found: Claim(*found[-1].rows[0]) if found[-1].rows else None)


def consumer_of(worker: str) -> str:
    """The consumer of a worker, whose name is the consumer's with a number behind it."""
    return worker.partition("/")[0]


def renew(pid: int, attempt: int, lease_s: float) -> Batch[bool]:
    """Prolong the lease; False when it was lost."""
    return Batch([_RENEW(held_pid=pid, held_attempt=attempt, lease_s=lease_s)], _changed)


def _changed(found: list[Found]) -> bool:
    return found[0].changed == 1


def _end(
    change: Call, outcome: str, usage: Usage | None, failure: Failure | None = None, *, whole: bool = True
) -> Batch[bool]:
    """Change the process, then close its attempt and drop its lease; False when it is not held any more.

    ``whole``: the process has ended, and with it the attempt that there may be beside this one.
    """
    held = {name: change.values[name] for name in ("held_pid", "held_attempt")}
    values: dict[str, object] = {"outcome": outcome, "error_class": None, "error": None, "traceback": None}
    if failure is not None:
        values["error_class"] = failure.error_class
        values["error"] = failure.message[:ERROR_CHARACTERS]
        values["traceback"] = failure.traceback[-TRACEBACK_CHARACTERS:] if failure.traceback else None
    close = _END_ATTEMPT(**held, **values, **{name: getattr(usage, name, None) for name in _USAGE})
    pid = {"held_pid": held["held_pid"]}
    rest = (_DROP_ALL_LEASES(**pid), _END_OTHERS(**pid)) if whole else (_DROP_LEASE(**held),)
    return Batch((change, close, *rest), _changed)


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
    what tells a worker that it lost its lease. A slow attempt beside it goes on too, unless the process fails for good.
    False when this attempt no longer holds the process, or is itself the slow one: `let_go`.
    """
    why = {"error_class": failure.error_class, "error": failure.message[:ERROR_CHARACTERS]}
    held = {"held_pid": pid, "held_attempt": attempt}
    change = (
        _FAIL(**held, **why)
        if retry_in_s is None
        else _SEND_BACK(**held, **why, retry_in_s=retry_in_s, more_attempts=int(spared))
    )
    return _end(change, outcome, usage, failure, whole=retry_in_s is None)


def let_go(
    pid: int, attempt: int, failure: Failure, *, usage: Usage | None = None, outcome: str = FAILED
) -> Batch[bool]:
    """End a slow attempt without success: what becomes of the process is up to the one that was offered beside it."""
    return _end(_LET_GO(held_pid=pid, held_attempt=attempt), outcome, usage, failure, whole=False)


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


class Expired(NamedTuple):
    """A lease that was not renewed, of the newest attempt or of a slow one."""

    pid: int
    attempt: int
    worker: str
    max_attempts: int
    slow_attempt: int | None

    @property
    def beside(self) -> bool:
        """Whether a slow attempt is at work besides."""
        return self.slow_attempt not in (None, self.attempt)


EXPIRED = (
    select(_lease.c.pid, _lease.c.attempt, _lease.c.worker, _process.c.max_attempts, _process.c.slow_attempt)
    .join(_process, _process.c.pid == _lease.c.pid)
    .where(_lease.c.lease_until < utc_now())
)


def expired_leases(session: Session) -> list[Expired]:
    """Leases of workers that stopped renewing them."""
    return sorted((Expired(*row) for row in session.execute(EXPIRED)), key=lambda one: (one.pid, one.attempt))


def expire_all_leases(session: Session) -> int:
    """Expire every lease: only for a caller who knows that no worker is alive. Returns how many there were."""
    held = session.execute(select(func.count()).select_from(Lease)).scalar_one()
    session.execute(update(Lease).values(lease_until=utc_now(-1.0)).where(literal(True)))
    return int(held)
