"""The life of a process, manager's side: count finished parents, take what is ready, free what was lost.

All of it is set-based; its cost follows the edges of what finished, never the number of waiting rows.
Rows are locked in the order of their primary key.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from schema.base import table_of, utc_now
from schema.prepared import Batch, Call, Found, Opened, Prepared, run
from schema.processes import (
    FINISHED,
    QUEUED,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    PausedGroup,
    Process,
    ProcessDependence,
    ProcessGroup,
    Site,
)

NOT_WITHOUT = "a dependency that it requires did not succeed"  # error of what is skipped
CHUNK = 1000  # values in one IN list
MOST_COUNTED = 5000  # ends that one transaction counts
READY_INDEX = "ix_process_ready"
ENDED_INDEX = "ix_process_propagated_status_pid"


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


_process = table_of(Process)
ENDED = (
    select(_process.c.pid, _process.c.status)
    # A comparison, not `IS false`: that would not walk the index.
    .where(_process.c.propagated == false(), _process.c.status.in_(FINISHED))
    .order_by(_process.c.pid)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
    .with_hint(_process, f"FORCE INDEX ({ENDED_INDEX})", "mysql")
    .with_hint(_process, f"FORCE INDEX ({ENDED_INDEX})", "mariadb")
)
_edge = table_of(ProcessDependence)
PIDS: BindParameter[list[int]] = bindparam("pids", expanding=True)
EDGES = select(_edge.c.parent_pid, _edge.c.child_pid, _edge.c.required).where(_edge.c.parent_pid.in_(PIDS))
_ENDED, _EDGES = Prepared(ENDED), Prepared(EDGES)
_SKIP = Prepared(
    update(_process)
    .where(_process.c.pid.in_(PIDS), _process.c.status == WAITING)
    .values(status=SKIPPED, finished_at=utc_now(), error=NOT_WITHOUT)
)
_SET_COUNTED = Prepared(update(_process).where(_process.c.pid.in_(PIDS)).values(propagated=True))
# Never below zero: a process that an operator sent back has its dependencies counted already.
_COUNT_DOWN = Prepared(
    update(_process)
    .where(_process.c.pid.in_(PIDS), _process.c.status == WAITING)
    .values(
        pending=case(
            (_process.c.pending > bindparam("fewer", type_=Integer), _process.c.pending - bindparam("fewer")), else_=0
        )
    )
)


def counted(process: Any) -> ColumnElement[bool]:
    """Whether an end has come and its children know of it; ``process``: the table's columns, or an alias's."""
    return and_(process.status.in_(FINISHED), process.propagated == true())


def propagate(session: Session, limit: int = CHUNK) -> int:
    """Count up to ``limit`` finished processes in their children, exactly once each; returns how many.

    Children whose required dependency did not succeed become ``skipped`` and are counted by the next call.
    """
    (ended,) = run(session, _ENDED(most=limit))
    calls, _ = _counting(session, ended.rows)
    run(session, *calls)
    return len(ended.rows)


def _counting(opened: Opened, ended: Sequence[tuple[Any, ...]]) -> tuple[list[Call], bool]:
    """What counts these ends (pid, status) in their children, and whether children are skipped for them."""
    status: dict[int, str] = dict(ended)
    calls: list[Call] = []
    skipped = False
    for parents in chunks(list(status)):
        (edges,) = run(opened, _EDGES(pids=parents))
        fewer = Counter(child for _, child, _ in edges.rows)
        hopeless = sorted({child for parent, child, required in edges.rows if required and status[parent] != SUCCEEDED})
        skipped = skipped or bool(hopeless)
        calls += [_SKIP(pids=part) for part in chunks(hopeless)]
        calls += _counting_down(fewer)
        calls.append(_SET_COUNTED(pids=parents))
    return calls, skipped


def _counting_down(fewer: Counter[int]) -> list[Call]:
    by_count: dict[int, list[int]] = defaultdict(list)
    for pid, count in fewer.items():
        by_count[count].append(pid)
    return [
        _COUNT_DOWN(pids=part, fewer=count) for count, pids in sorted(by_count.items()) for part in chunks(sorted(pids))
    ]


@dataclass(frozen=True)
class Queue:
    """Work of one group at one site."""

    site_id: int
    group_id: int
    site: str
    group: str


_QUEUES = (
    select(Site.site_id, ProcessGroup.group_id, Site.name, ProcessGroup.name)
    .select_from(Site)
    .join(ProcessGroup, literal(True))
    .order_by(Site.site_id, ProcessGroup.group_id)
)
# The groups are locked, so that a pause comes wholly before or wholly after.
_LOCK_GROUPS = Prepared(select(ProcessGroup.group_id).order_by(ProcessGroup.group_id).with_for_update(read=True))
_OPEN_QUEUES = Prepared(
    _QUEUES.outerjoin(
        PausedGroup, and_(PausedGroup.site_id == Site.site_id, PausedGroup.group_id == ProcessGroup.group_id)
    ).where(PausedGroup.site_id.is_(None))
)
QUEUED_BY_QUEUE = (
    select(_process.c.site_id, _process.c.group_id, func.count())
    .where(_process.c.status == QUEUED)
    .group_by(_process.c.site_id, _process.c.group_id)
)
_QUEUED_BY_QUEUE = Prepared(QUEUED_BY_QUEUE)
# What may be sent now to one queue, locked. MySQL sorts a small table rather than walk the index, and then locks all of
# it; hence the hint.
READY = (
    select(_process.c.pid, _process.c.attempt)
    .where(
        _process.c.status == WAITING,
        _process.c.pending == 0,
        _process.c.site_id == bindparam("queue_site"),
        _process.c.group_id == bindparam("queue_group"),
        or_(_process.c.not_before.is_(None), _process.c.not_before <= utc_now()),
    )
    .order_by(_process.c.priority, _process.c.pid)
    .limit(bindparam("room", type_=Integer))
    .with_for_update(skip_locked=True)
    .with_hint(_process, f"FORCE INDEX ({READY_INDEX})", "mysql")
    .with_hint(_process, f"FORCE INDEX ({READY_INDEX})", "mariadb")
)
_READY = Prepared(READY)
_SET_QUEUED = Prepared(update(_process).where(_process.c.pid.in_(PIDS)).values(status=QUEUED, sent_at=None))
_SET_SENT = Prepared(
    update(_process).where(_process.c.pid.in_(PIDS), _process.c.status == QUEUED).values(sent_at=utc_now())
)


def queues(session: Session) -> list[Queue]:
    """All queues that there may be, paused or not."""
    return [Queue(*row) for row in session.execute(_QUEUES)]


def empty_queues(session: Session) -> list[Queue]:
    """Queues that are not paused and have no message out; none is paused before the caller commits."""
    _, queues, queued = run(session, _LOCK_GROUPS(), _OPEN_QUEUES(), _QUEUED_BY_QUEUE())
    out = _Out.of(queues, queued)
    return [queue for queue in out.queues if (queue.site_id, queue.group_id) not in out.queued]


@dataclass(frozen=True)
class _Out:
    """Queues that are not paused, and messages that are out, by site and group."""

    queues: list[Queue]
    queued: dict[tuple[int, int], int]

    @classmethod
    def of(cls, queues: Found, queued: Found) -> "_Out":
        return cls([Queue(*row) for row in queues.rows], {(site, group): count for site, group, count in queued.rows})


def take_ready(session: Session, window: int = CHUNK) -> list[Ready]:
    """Mark ready processes as queued, by priority then PID; the caller commits and then sends them.

    No queue holds more than ``window`` messages, so that what comes later with a better priority overtakes all
    but those. Paused groups are left alone.
    """
    _, queues, queued = run(session, _LOCK_GROUPS(), _OPEN_QUEUES(), _QUEUED_BY_QUEUE())
    ready = _find_ready(session, [], _Out.of(queues, queued), window)
    run(session, *_queueing(ready))
    return ready


def _find_ready(opened: Opened, before: list[Call], out: _Out, window: int) -> list[Ready]:
    """Run ``before``, then look for what is ready."""
    rooms = [(queue, window - out.queued.get((queue.site_id, queue.group_id), 0)) for queue in out.queues]
    rooms = [(queue, room) for queue, room in rooms if room > 0]
    looks = [_READY(queue_site=queue.site_id, queue_group=queue.group_id, room=room) for queue, room in rooms]
    found = run(opened, *before, *looks)[len(before) :]
    return [
        Ready(pid, attempt + 1, queue.site, queue.group)
        for (queue, _), ready in zip(rooms, found, strict=True)
        for pid, attempt in ready.rows
    ]


def _queueing(ready: Sequence[Ready]) -> list[Call]:
    return [_SET_QUEUED(pids=part) for part in chunks([one.pid for one in ready])]


@dataclass(frozen=True)
class Advance:
    """What one step of the manager did: processes to be sent, and messages that are out now."""

    ready: list[Ready]
    queued: int


def advance(opened: Opened, window: int) -> Batch[Advance]:
    """Count what has ended, with all that is skipped for it; the batch that is left takes what is ready then."""
    _, queues, queued, ended = run(opened, _LOCK_GROUPS(), _OPEN_QUEUES(), _QUEUED_BY_QUEUE(), _ENDED(most=CHUNK))
    out = _Out.of(queues, queued)
    ends = 0
    while True:
        calls, skipped = _counting(opened, ended.rows)
        ends += len(ended.rows)
        if ends >= MOST_COUNTED or not (skipped or len(ended.rows) == CHUNK):
            break
        *_, ended = run(opened, *calls, _ENDED(most=CHUNK))
    ready = _find_ready(opened, calls, out, window)
    return Batch(_queueing(ready), lambda _: Advance(ready, sum(out.queued.values()) + len(ready)))


def _addressed(session: Session, pids: Sequence[int]) -> list[Ready]:
    rows = session.execute(
        select(Process.pid, Process.attempt, Site.name, ProcessGroup.name)
        .join(Site, Site.site_id == Process.site_id)
        .join(ProcessGroup, ProcessGroup.group_id == Process.group_id)
        .where(Process.pid.in_(pids))
        .order_by(Process.priority, Process.pid)
    )
    return [Ready(pid, attempt + 1, site, group) for pid, attempt, site, group in rows]


def mark_sent(pids: Sequence[int]) -> Batch[None]:
    """Note that the broker has confirmed the messages of these processes."""
    return Batch([_SET_SENT(pids=part) for part in chunks(sorted(pids))], lambda _: None)


def unsent(session: Session, limit: int = CHUNK, but_of: Collection[Queue] = ()) -> list[Ready]:
    """Processes that are queued without a confirmed message: a manager died, or the broker was away."""
    query = select(Process.pid).where(Process.status == QUEUED, Process.sent_at.is_(None))
    if but_of:
        others = [(queue.site_id, queue.group_id) for queue in but_of]
        query = query.where(tuple_(Process.site_id, Process.group_id).not_in(others))
    pids = session.scalars(query.order_by(Process.pid).limit(limit)).all()
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
