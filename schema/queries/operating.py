"""What operators do while manager and consumers run: cancel, retry, pause, resume; each in one transaction.

Processes are locked by primary key before they are looked at, so that a decision and the change that follows from it
are about the same rows. Where the manager holds some of them in another order the database undoes one of the two,
which is then tried again whole (``database.transact``).
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, insert, not_, or_, select, update
from sqlalchemy.orm import Session

from schema.base import table_of, utc_now
from schema.processes import (
    CANCELLED,
    FAILED,
    QUEUED,
    SKIPPED,
    UNFINISHED,
    UNSUCCESSFUL,
    WAITING,
    Lease,
    PausedGroup,
    Process,
    ProcessAttempt,
    ProcessDependence,
    ProcessGroup,
)
from schema.queries.dependencies import graphs_used
from schema.queries.scheduling import PIDS, chunks, counted

_process, _edge = table_of(Process), table_of(ProcessDependence)
_lock = select(_process.c.pid, _process.c.status).where(_process.c.pid.in_(PIDS)).order_by(_process.c.pid)
for _dialect in ("mysql", "mariadb"):
    # Another index holds all that is asked for, and would be locked in its own order.
    _lock = _lock.with_hint(_process, "FORCE INDEX (PRIMARY)", _dialect)
_LOCK = _lock.with_for_update()
_CANCEL = (
    update(_process)
    .where(_process.c.pid.in_(PIDS))
    .values(status=CANCELLED, finished_at=utc_now(), slow_attempt=None, slow_consumer=None)
)
_SEND_BACK = update(_process).where(_process.c.pid.in_(PIDS)).values(status=WAITING, sent_at=None)
_REVIVED_BEHIND = (SKIPPED, FAILED)  # what failed may have failed for what is tried again
_BEHIND = (
    select(_edge.c.child_pid)
    .join(_process, _process.c.pid == _edge.c.child_pid)
    .where(_edge.c.parent_pid.in_(PIDS), _process.c.status.in_(_REVIVED_BEHIND))
)
_REQUIRED_WITHOUT_SUCCESS = (
    select(_edge.c.child_pid, _edge.c.parent_pid)
    .join(_process, _process.c.pid == _edge.c.parent_pid)
    .where(_edge.c.child_pid.in_(PIDS), _edge.c.required.is_(True), _process.c.status.in_(UNSUCCESSFUL))
)
_WAITING_BEHIND = (
    select(_edge.c.child_pid)
    .join(_process, _process.c.pid == _edge.c.child_pid)
    .where(_edge.c.parent_pid.in_(PIDS), _process.c.status == WAITING)
)
_not_counted = (_edge.c.child_pid.in_(PIDS), not_(counted(_process.c)))
_NOT_COUNTED = (
    select(_edge.c.child_pid, func.count())
    .join(_process, _process.c.pid == _edge.c.parent_pid)
    .where(*_not_counted)
    .group_by(_edge.c.child_pid)
)
_PARENTS_NOT_COUNTED = (
    select(_edge.c.parent_pid).join(_process, _process.c.pid == _edge.c.parent_pid).where(*_not_counted)
)


def lock(session: Session, pids: Collection[int]) -> dict[int, str]:
    """Lock processes in the order of their primary key; gives the state that each has then."""
    states: dict[int, str] = {}
    for part in chunks(sorted(set(pids))):
        states |= dict(session.execute(_LOCK, {"pids": part}).all())
    return states


def cancel(session: Session, pids: Collection[int]) -> list[int]:
    """Cancel what is not finished: queued work never starts, running work commits nothing. Returns the PIDs changed."""
    changed: list[int] = []
    for part in chunks(sorted(set(pids))):
        states = lock(session, part)
        live = [pid for pid, state in states.items() if state in UNFINISHED]
        session.execute(_CANCEL, {"pids": live})
        # What is queued or waits may have a slow attempt at work.
        session.execute(
            update(ProcessAttempt)
            .where(ProcessAttempt.pid.in_(live), ProcessAttempt.finished_at.is_(None))
            .values(outcome=CANCELLED, finished_at=utc_now())
        )
        session.execute(delete(Lease).where(Lease.pid.in_(live)))
        changed += live
    return changed


def retry(session: Session, pids: Collection[int], *, more_attempts: int = 3) -> list[int]:
    """Send failed, skipped or cancelled processes back to waiting, with all that was skipped or failed behind them.

    Their count of attempts goes on; each gets ``more_attempts``. What requires a process that did not succeed and
    is not sent back itself is left as it is. Returns the PIDs changed.
    """
    found = _lock_downwards(session, pids)
    # Before looking at the parents: one that fails now is seen, or counted later.
    _hold_counting(session, sorted(found))
    revived = sorted(found - _hopeless(session, found))
    for part in chunks(revived):
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
    _recount(session, revived)
    return revived


def hurry(session: Session, pids: Collection[int]) -> list[int]:
    """Let those of the processes that wait for the time of their next attempt wait no longer. Returns the PIDs changed.

    One that is queued or runs by now is left as it is.
    """
    changed: list[int] = []
    for part in chunks(sorted(set(pids))):
        waiting = [pid for pid, state in lock(session, part).items() if state == WAITING]
        delayed = (Process.pid.in_(waiting), Process.not_before > utc_now())
        early = list(session.scalars(select(Process.pid).where(*delayed)))
        session.execute(update(Process).where(Process.pid.in_(early)).values(not_before=None))
        changed += early
    return changed


def _lock_downwards(session: Session, pids: Collection[int]) -> set[int]:
    """Those of ``pids`` that can be revived and all that was skipped or failed behind them, locked.

    Level by level: once a process is locked the manager has skipped all its children, or will find it waiting.
    """
    found = {pid for pid, state in lock(session, pids).items() if state in UNSUCCESSFUL}
    frontier = set(found)
    while frontier:
        behind: set[int] = set()
        for part in chunks(sorted(frontier)):
            behind |= set(session.scalars(_BEHIND, {"pids": part}))
        frontier = {pid for pid, state in lock(session, behind - found).items() if state in _REVIVED_BEHIND}
        found |= frontier
    return found


def _hopeless(session: Session, found: set[int]) -> set[int]:
    """Of the processes found, those that require one which did not succeed and stays so."""
    children: dict[int, list[int]] = defaultdict(list)
    hopeless: set[int] = set()
    for part in chunks(sorted(found)):
        for child, parent in session.execute(_REQUIRED_WITHOUT_SUCCESS, {"pids": part}):
            children[parent].append(child)
            if parent not in found:
                hopeless.add(child)
    frontier = list(hopeless)
    while frontier:
        new = set(children[frontier.pop()]) - hopeless
        hopeless |= new
        frontier += new
    return hopeless


def missing_requirement(session: Session, pid: int) -> int | None:
    """A process that ``pid`` requires and that did not succeed, if there is one."""
    parents = [parent for _, parent in session.execute(_REQUIRED_WITHOUT_SUCCESS, {"pids": [pid]})]
    return min(parents, default=None)


def _hold_counting(session: Session, pids: Sequence[int]) -> None:
    """Let no end be counted past these processes while they come back.

    The manager counts down only what waits. Of a parent whose end it counts just now, a process that comes back in
    that moment would take the end for one that is still to be counted, and wait for ever.
    """
    parents: set[int] = set()
    for part in chunks(pids):
        parents |= set(session.scalars(_PARENTS_NOT_COUNTED, {"pids": part}))
    lock(session, parents - set(pids))


def _recount(session: Session, pids: Sequence[int]) -> None:
    """Count what revived processes and waiting children wait for, from the dependencies themselves."""
    affected = set(pids)
    for part in chunks(pids):
        affected |= set(session.scalars(_WAITING_BEHIND, {"pids": part}))
    for part in chunks(sorted(affected)):
        # Locked first: an end that is counted meanwhile is either seen here or counted down afterwards.
        waiting = [pid for pid, state in lock(session, part).items() if state == WAITING]
        pending = dict.fromkeys(waiting, 0) | dict(session.execute(_NOT_COUNTED, {"pids": waiting}).all())
        by_count: dict[int, list[int]] = defaultdict(list)
        for pid, count in pending.items():
            by_count[count].append(pid)
        for count, group in by_count.items():
            session.execute(update(Process).where(Process.pid.in_(group)).values(pending=count))


def pids_in(session: Session, states: Sequence[str], observation_id: int | None = None) -> list[int]:
    """Processes in one of these states, of one observation or of all; of each observation only its newest graph's.

    What an older graph left undone the newer one does. Of one observation, masters that its graphs use count too.
    """
    if observation_id is not None:
        own = select(Process.graph_pid).where(Process.observation_id == observation_id).distinct()
        graphs = set(session.scalars(own))
        used = graphs_used(session, graphs) - graphs | set(sorted(graphs)[-1:])
        chosen = select(Process.pid).where(Process.graph_pid.in_(used), Process.status.in_(states))
        return list(session.scalars(chosen.order_by(Process.pid)))
    newest = (
        select(Process.observation_id, func.max(Process.graph_pid).label("graph_pid"))
        .where(Process.observation_id.is_not(None))
        .group_by(Process.observation_id)
        .subquery()
    )
    query = (
        select(Process.pid)
        .outerjoin(newest, newest.c.observation_id == Process.observation_id)
        .where(
            Process.status.in_(states), or_(Process.observation_id.is_(None), Process.graph_pid == newest.c.graph_pid)
        )
        .order_by(Process.pid)
    )
    return list(session.scalars(query))


def unfinished_pids(session: Session, observation_id: int) -> list[int]:
    """Processes of an observation that can still move, of all its graphs."""
    query = select(Process.pid).where(Process.observation_id == observation_id, Process.status.in_(UNFINISHED))
    return list(session.scalars(query.order_by(Process.pid)))


def pause(session: Session, site_id: int, group_id: int) -> tuple[bool, int]:
    """Let nothing of this queue start until it is resumed; what is queued goes back to waiting, what runs goes on.

    Returns whether this call paused it, and how many processes went back. The manager holds the group's row while it
    takes what is ready, so that it does so wholly before or wholly after.
    """
    _lock_group(session, group_id)
    key = {"site_id": site_id, "group_id": group_id}
    paused_now = not _is_paused(session, site_id, group_id)
    if paused_now:
        session.execute(insert(PausedGroup).values(**key, paused_at=utc_now()))
    queued = select(Process.pid).where(
        Process.status == QUEUED, Process.site_id == site_id, Process.group_id == group_id
    )
    back = [pid for pid, state in lock(session, session.scalars(queued).all()).items() if state == QUEUED]
    for part in chunks(back):
        session.execute(_SEND_BACK, {"pids": part})
    return paused_now, len(back)


def resume(session: Session, site_id: int, group_id: int) -> bool:
    """Let the queue go on; False when it was not paused."""
    _lock_group(session, group_id)
    was_paused = _is_paused(session, site_id, group_id)
    session.execute(delete(PausedGroup).where(PausedGroup.site_id == site_id, PausedGroup.group_id == group_id))
    return was_paused


def _lock_group(session: Session, group_id: int) -> None:
    session.execute(select(ProcessGroup.group_id).where(ProcessGroup.group_id == group_id).with_for_update()).one()


def _is_paused(session: Session, site_id: int, group_id: int) -> bool:
    query = select(PausedGroup.group_id).where(PausedGroup.site_id == site_id, PausedGroup.group_id == group_id)
    return session.scalar(query) is not None
