"""Which results are not those of their keys: something that they are made of has ended since, anew or at all."""

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import and_, func, not_, or_, select
from sqlalchemy.orm import Session, aliased

from schema.base import table_of
from schema.processes import FAILED, SKIPPED, SUCCEEDED, UNSUCCESSFUL, Process, ProcessAttempt, ProcessDependence
from schema.queries.scheduling import chunks
from schema.queries.spans import Span, spans, within

_process, _dependence = table_of(Process), table_of(ProcessDependence)
# What else is there has no result that its parents can have spoiled.
_EDGES = (
    select(_dependence.c.parent_pid, _dependence.c.child_pid)
    .join(_process, _process.c.pid == _dependence.c.child_pid)
    .where(_process.c.status.in_((SUCCEEDED, FAILED)))
)

_parent, Outdated, _ran = aliased(Process), aliased(Process), aliased(ProcessAttempt)
OUTDATED = (
    select(Outdated.pid)
    .join(ProcessDependence, ProcessDependence.child_pid == Outdated.pid)
    .join(_parent, _parent.pid == ProcessDependence.parent_pid)
    .outerjoin(_ran, and_(_ran.pid == Outdated.pid, _ran.attempt == Outdated.attempt, Outdated.origin_pid.is_(None)))
    .where(
        Outdated.status.in_((SUCCEEDED, FAILED)),
        or_(Outdated.origin_pid.is_(None), _parent.graph_pid == Outdated.graph_pid),
        or_(
            _parent.finished_at.is_(None),
            _parent.finished_at > func.coalesce(_ran.started_at, Outdated.finished_at),
            # Of another observation are masters: once, what is calibrated went on without one that failed.
            and_(
                Outdated.status == SUCCEEDED,
                _parent.observation_id != Outdated.observation_id,
                _parent.status.in_(UNSUCCESSFUL),
            ),
        ),
    )
    .distinct()
)


def unlike_their_keys(session: Session, pids: Collection[int]) -> set[int]:
    """Those processes whose results are not those of their keys: outdated ones, and all that follows from these.

    One is outdated that ran before something that it waits for ended, for good or anew, or without it: what failed and
    is tried again ends once more, behind those that went on without it. Of what was taken over only the same graph's
    dependencies count: other graphs' were looked at when it was taken over. A master that lacks a frame spoils what is
    calibrated with it. Nothing is looked at but what these came from: a night that grows leaves processes behind that
    waited for all frames of then, and nobody asks for them any more.
    """
    found: set[int] = set()
    looked_at: set[int] = set()
    new, all_spans = set(pids), list[Span]()
    while new:
        parts = spans(new)
        for part in parts:
            looked_at.update(part)
            # By the dependencies: SQLite would walk all processes that have ended, for each part.
            found.update(session.scalars(OUTDATED.where(within(ProcessDependence.child_pid, part))))
        new = {parent for part in parts for parent in _parents_beside(session, part)} - looked_at
        all_spans += parts
    return found and _with_what_follows(session, found, all_spans).intersection(pids)


def _parents_beside(session: Session, part: Span) -> Collection[int]:
    """What processes of a part waited for, but for what of a range lies in it."""
    query = _EDGES.with_only_columns(_dependence.c.parent_pid).where(within(_dependence.c.child_pid, part)).distinct()
    if isinstance(part, range):
        query = query.where(not_(within(_dependence.c.parent_pid, part)))
    return session.scalars(query).all()


def _with_what_follows(session: Session, found: set[int], parts: list[Span]) -> set[int]:
    """Processes, and what of these parts followed from them."""
    came_from: defaultdict[int, list[int]] = defaultdict(list)
    for part in parts:
        for parent, child in session.execute(_EDGES.where(within(_dependence.c.child_pid, part))):
            came_from[parent].append(child)
    new = found
    while new:
        new = {child for parent in new for child in came_from.get(parent, ())} - found
        found = found | new
    return found


def skipped_behind(session: Session, command: str, pids: Collection[int]) -> set[int]:
    """Those processes that were skipped since one of a command did not succeed."""
    query = (
        select(Outdated.pid)
        .join(ProcessDependence, ProcessDependence.child_pid == Outdated.pid)
        .join(_parent, _parent.pid == ProcessDependence.parent_pid)
        .where(Outdated.status == SKIPPED, _parent.command == command, _parent.status.in_(UNSUCCESSFUL))
    )
    parts = (query.where(ProcessDependence.child_pid.in_(part)) for part in chunks(sorted(pids)))
    return {pid for part in parts for pid in session.scalars(part)}
