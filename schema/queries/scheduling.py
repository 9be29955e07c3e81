"""The life of a process, manager's side: count finished parents, take what is ready, free what was lost.

All of it is set-based; its cost follows the edges of what finished, never the number of waiting rows.
Rows are locked in the order of their primary key.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, Select, and_, bindparam, case, false, func, literal, or_, select, update
from sqlalchemy.orm import Session

from schema.base import table_of, utc_now
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
EDGES = select(_edge.c.parent_pid, _edge.c.child_pid, _edge.c.required).where(
    _edge.c.parent_pid.in_(bindparam("pids", expanding=True))
)
_SET_COUNTED = update(_process).where(_process.c.pid.in_(bindparam("pids", expanding=True))).values(propagated=True)
# Never below zero: a process that an operator sent back has its dependencies counted already.
_COUNT_DOWN = (
    update(_process)
    .where(_process.c.pid.in_(bindparam("pids", expanding=True)), _process.c.status == WAITING)
    .values(
        pending=case(
            (_process.c.pending > bindparam("fewer", type_=Integer), _process.c.pending - bindparam("fewer")), else_=0
        )
    )
)


def propagate(session: Session, limit: int = CHUNK) -> int:
    """Count up to ``limit`` finished processes in their children, exactly once each; returns how many.

    Children whose required dependency did not succeed become ``skipped`` and are counted by the next call.
    """
    return _count_ends(session, limit)[0]


def _count_ends(session: Session, limit: int) -> tuple[int, bool]:
    """How many ends were counted, and whether there may be more: the limit was reached, or children were skipped."""
    finished = session.execute(ENDED, {"most": limit}).all()
    status: dict[int, str] = {row.pid: row.status for row in finished}
    more = len(finished) == limit
    for parents in chunks(list(status)):
        edges = session.execute(EDGES, {"pids": parents}).all()
        fewer = Counter(edge.child_pid for edge in edges)
        hopeless = sorted({e.child_pid for e in edges if e.required and status[e.parent_pid] != SUCCEEDED})
        _skip(session, hopeless)
        more = more or bool(hopeless)
        _count_down(session, fewer)
        session.execute(_SET_COUNTED, {"pids": parents})
    return len(finished), more


def _skip(session: Session, pids: Sequence[int]) -> None:
    for part in chunks(pids):
        session.execute(
            update(Process)
            .where(Process.pid.in_(part), Process.status == WAITING)
            .values(status=SKIPPED, finished_at=utc_now(), error=NOT_WITHOUT)
        )


def _count_down(session: Session, fewer: Counter[int]) -> None:
    by_count: dict[int, list[int]] = defaultdict(list)
    for pid, count in fewer.items():
        by_count[count].append(pid)
    for count, pids in sorted(by_count.items()):
        for part in chunks(sorted(pids)):
            session.execute(_COUNT_DOWN, {"pids": part, "fewer": count})


@dataclass(frozen=True)
class Queue:
    """Work of one group at one site."""

    site_id: int
    group_id: int
    site: str
    group: str


def queues(session: Session) -> list[Queue]:
    """All queues that there may be, paused or not."""
    rows = session.execute(
        select(Site.site_id, ProcessGroup.group_id, Site.name, ProcessGroup.name)
        .select_from(Site)
        .join(ProcessGroup, literal(True))
        .order_by(Site.site_id, ProcessGroup.group_id)
    )
    return [Queue(*row) for row in rows]


def _open_queues(session: Session) -> list[Queue]:
    """Queues that are not paused. The groups are locked, so that a pause comes wholly before or wholly after."""
    session.execute(_LOCK_GROUPS)
    return [Queue(*row) for row in session.execute(_OPEN_QUEUES)]


_LOCK_GROUPS = select(ProcessGroup.group_id).order_by(ProcessGroup.group_id).with_for_update(read=True)
_OPEN_QUEUES = (
    select(Site.site_id, ProcessGroup.group_id, Site.name, ProcessGroup.name)
    .select_from(Site)
    .join(ProcessGroup, literal(True))
    .outerjoin(PausedGroup, and_(PausedGroup.site_id == Site.site_id, PausedGroup.group_id == ProcessGroup.group_id))
    .where(PausedGroup.site_id.is_(None))
    .order_by(Site.site_id, ProcessGroup.group_id)
)
QUEUED_BY_QUEUE = (
    select(_process.c.site_id, _process.c.group_id, func.count())
    .where(_process.c.status == QUEUED)
    .group_by(_process.c.site_id, _process.c.group_id)
)


def ready_in_queue() -> Select[int, int]:
    """The query of what may be sent now to one queue, locking as it goes.

    MySQL sorts a small table rather than walk the index, and then locks all of it; hence the hint.
    """
    return (
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


_READY = ready_in_queue()
_SET_QUEUED = (
    update(_process).where(_process.c.pid.in_(bindparam("pids", expanding=True))).values(status=QUEUED, sent_at=None)
)
_SET_SENT = (
    update(_process)
    .where(_process.c.pid.in_(bindparam("pids", expanding=True)), _process.c.status == QUEUED)
    .values(sent_at=utc_now())
)


def take_ready(session: Session, window: int = CHUNK) -> list[Ready]:
    """Mark ready processes as queued, by priority then PID; the caller commits and then sends them.

    No queue holds more than ``window`` messages, so that what comes later with a better priority overtakes all
    but those. Paused groups are left alone.
    """
    return _take(session, _queued(session), window)


def _queued(session: Session) -> dict[tuple[int, int], int]:
    """Messages that are out, by site and group."""
    return {(site_id, group_id): count for site_id, group_id, count in session.execute(QUEUED_BY_QUEUE)}


def _take(session: Session, queued: dict[tuple[int, int], int], window: int) -> list[Ready]:
    taken: list[Ready] = []
    for queue in _open_queues(session):
        room = window - queued.get((queue.site_id, queue.group_id), 0)
        if room <= 0:
            continue
        key = {"queue_site": queue.site_id, "queue_group": queue.group_id, "room": room}
        rows = session.execute(_READY, key).all()
        for part in chunks([pid for pid, _ in rows]):
            session.execute(_SET_QUEUED, {"pids": part})
        taken += [Ready(pid, attempt + 1, queue.site, queue.group) for pid, attempt in rows]
    return taken


@dataclass(frozen=True)
class Advance:
    """What one step of the manager did: ends counted, processes to be sent, and messages that are out now."""

    counted: int
    ready: list[Ready]
    queued: int


def advance(session: Session, window: int) -> Advance:
    """Count what has ended, with all that is skipped for it, and take what is ready then; one transaction."""
    counted, more = 0, True
    while more and counted < MOST_COUNTED:
        ends, more = _count_ends(session, CHUNK)
        counted += ends
    queued = _queued(session)
    ready = _take(session, queued, window)
    return Advance(counted, ready, sum(queued.values()) + len(ready))


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
    for part in chunks(sorted(pids)):
        session.execute(_SET_SENT, {"pids": part})


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
