"""Stragglers: attempts that take much longer than others of the same command did.

Beside one a second attempt may be offered: `schema.queries.life` says how two of them end.
"""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlalchemy import Double, Integer, and_, bindparam, select, update
from sqlalchemy.orm import Session, aliased

from schema.base import table_of, utc_now
from schema.observing import Observation
from schema.prepared import Batch, Prepared
from schema.processes import CAPTURE, QUEUED, RUNNING, SUCCEEDED, Lease, Process, ProcessAttempt, Service
from schema.queries import scheduling, services
from schema.queries.life import consumer_of
from schema.queries.scheduling import PIDS, Ready
from schema.queries.services import ACTIVE, CONSUMER

SAMPLES = 25  # that succeeded; their median is how long such work takes
FEWEST_SAMPLES = 5
MOST_OTHERS = 100  # observations that are looked through where one has too few
LEASE_INDEX = "ix_lease_lease_until"
ALIKE_INDEX = "ix_process_observation_id_command_status"

_process, _attempt, _lease = table_of(Process), table_of(ProcessAttempt), table_of(Lease)
# Those whose worker is alive: what it left otherwise is freed.
LONG_AT_WORK = (
    select(
        _lease.c.pid,
        _lease.c.attempt,
        _lease.c.worker,
        _attempt.c.host,
        _attempt.c.started_at,
        utc_now().label("now"),
        _process.c.command,
        _process.c.observation_id,
        _process.c.site_id,
        _process.c.group_id,
        _process.c.slow_attempt,
    )
    .join(_process, _process.c.pid == _lease.c.pid)
    .join(_attempt, and_(_attempt.c.pid == _lease.c.pid, _attempt.c.attempt == _lease.c.attempt))
    .where(
        _lease.c.lease_until >= utc_now(),
        _attempt.c.started_at < utc_now(bindparam("before_s", type_=Double)),
        _process.c.observation_id.is_not(None),
        _process.c.command != CAPTURE,
    )
    .order_by(_attempt.c.started_at, _lease.c.pid)
    .with_hint(_lease, f"FORCE INDEX ({LEASE_INDEX})", "mysql")
    .with_hint(_lease, f"FORCE INDEX ({LEASE_INDEX})", "mariadb")
)
# What took over the result of another took no time.
_alike = (
    select(_attempt.c.seconds)
    .select_from(_process)
    .join(_attempt, and_(_attempt.c.pid == _process.c.pid, _attempt.c.attempt == _process.c.attempt))
    .where(
        _process.c.observation_id.in_(bindparam("observations", expanding=True)),
        _process.c.command == bindparam("command"),
        _process.c.status == SUCCEEDED,
        _process.c.origin_pid.is_(None),
        _attempt.c.seconds.is_not(None),
    )
    .limit(bindparam("most", type_=Integer))
    .with_hint(_process, f"FORCE INDEX ({ALIKE_INDEX})", "mysql")
    .with_hint(_process, f"FORCE INDEX ({ALIKE_INDEX})", "mariadb")
)
ALIKE = _alike.order_by(_process.c.pid.desc())  # the newest, in the order of the index
ALIKE_ELSEWHERE = _alike  # any: those of so many observations are not put in order
_own = aliased(Observation)
_SAME_CAMERA = (
    select(Observation.observation_id)
    .join(
        _own,
        and_(
            _own.site_id == Observation.site_id,
            _own.instrument_id == Observation.instrument_id,
            _own.binning == Observation.binning,
        ),
    )
    .where(_own.observation_id == bindparam("observation"), Observation.observation_id != _own.observation_id)
    .order_by(Observation.observation_id.desc())
    .limit(MOST_OTHERS)
)
_FREE = select(_process.c.pid).where(_process.c.pid.in_(PIDS)).with_for_update(skip_locked=True)
_OFFER_SECOND = Prepared(
    update(_process)
    .where(
        _process.c.pid == bindparam("held_pid"),
        _process.c.attempt == bindparam("held_attempt"),
        _process.c.status == RUNNING,
        _process.c.slow_attempt.is_(None),
    )
    .values(
        status=QUEUED,
        sent_at=None,
        max_attempts=_process.c.max_attempts + 1,
        slow_attempt=_process.c.attempt,
        slow_consumer=bindparam("consumer"),
    )
)
_HAND_ON = Prepared(
    update(_process)
    .where(
        _process.c.pid == bindparam("held_pid"),
        _process.c.attempt == bindparam("last_attempt"),
        _process.c.status == QUEUED,
    )
    .values(sent_at=None)
)


@dataclass(frozen=True)
class Straggler:
    """An attempt at work for so many seconds, and what such work usually takes; ``since`` is UTC.

    ``doubled``: another was offered beside it, or it is that other.
    """

    pid: int
    attempt: int
    worker: str
    host: str
    command: str
    observation_id: int
    site_id: int
    group_id: int
    since: datetime
    seconds: float
    usual_s: float
    doubled: bool


def find(session: Session, factor: float, least_s: float) -> list[Straggler]:
    """Attempts that have been at work for ``factor`` times what is usual and ``least_s`` seconds, the oldest first.

    Usual is what such work took in its observation; of which there is little in one, in others of the same camera.
    Where fewer than ``FEWEST_SAMPLES`` have succeeded nobody knows. One query, and up to three more for each command of
    an observation that has something so long at work.
    """
    usual: dict[tuple[int, str], float | None] = {}
    found = []
    for row in session.execute(LONG_AT_WORK, {"before_s": -least_s}):
        alike = (row.observation_id, row.command)
        if alike not in usual:
            usual[alike] = _usual_s(session, *alike)
        usual_s, seconds = usual[alike], (row.now - row.started_at).total_seconds()
        if usual_s is not None and seconds > factor * usual_s:
            who = (row.pid, row.attempt, row.worker, row.host)
            where = (row.command, row.observation_id, row.site_id, row.group_id)
            found.append(Straggler(*who, *where, row.started_at, seconds, usual_s, row.slow_attempt is not None))
    return found


def _usual_s(session: Session, observation_id: int, command: str) -> float | None:
    asked = {"command": command, "most": SAMPLES}
    took = session.scalars(ALIKE, {"observations": [observation_id], **asked}).all()
    if len(took) < FEWEST_SAMPLES:
        others = session.scalars(_SAME_CAMERA, {"observation": observation_id}).all()
        took = session.scalars(ALIKE_ELSEWHERE, {"observations": others, **asked}).all()
    return median(took) if len(took) >= FEWEST_SAMPLES else None


def offer_second(pid: int, attempt: int, worker: str) -> Batch[bool]:
    """Queue a process once more beside an attempt of ``worker``, which may still succeed, and at no cost of attempts.

    False when that attempt does not hold the process any more, or an earlier one is still at work beside it.
    """
    call = _OFFER_SECOND(held_pid=pid, held_attempt=attempt, consumer=consumer_of(worker))
    return Batch([call], lambda found: found[0].changed == 1)


def hand_on(pid: int, attempt: int) -> Batch[bool]:
    """Let a message be sent again by who cannot take it; False: it is taken, or late."""
    return Batch([_HAND_ON(held_pid=pid, last_attempt=attempt - 1)], lambda found: found[0].changed == 1)


def offer_seconds(session: Session, factor: float, least_s: float) -> list[tuple[Straggler, Ready]]:
    """Queue stragglers once more, beside the attempts at work, where that costs nobody anything.

    That is where nothing else is queued and another consumer is idle: as many as it has idle slots. The caller commits
    and then sends them.
    """
    slow = [one for one in find(session, factor, least_s) if not one.doubled]
    if not slow:
        return []
    queues = {(queue.site_id, queue.group_id): queue for queue in scheduling.empty_queues(session)}
    # Whose commit is under way is left alone: a worker that is frozen in it would freeze the caller.
    free = set(session.scalars(_FREE, {"pids": [one.pid for one in slow]}))
    consumers = _consumers(session)
    offered = []
    for one in slow:
        queue = queues.get((one.site_id, one.group_id))
        idle = None if queue is None else next((other for other in consumers if other.may_take(one, queue.group)), None)
        if queue is None or idle is None or one.pid not in free:
            continue
        if offer_second(one.pid, one.attempt, one.worker).run(session):
            idle.idle_slots -= 1
            offered.append((one, Ready(one.pid, one.attempt + 1, queue.site, queue.group)))
    return offered


@dataclass
class _Consumer:
    """A consumer that takes work."""

    name: str  # as its workers' names begin
    site_id: int | None
    groups: frozenset[str]
    idle_slots: int

    def may_take(self, one: Straggler, group: str) -> bool:
        is_its_own = self.name == consumer_of(one.worker)
        return self.idle_slots > 0 and self.site_id == one.site_id and group in self.groups and not is_its_own


def _consumers(session: Session) -> list[_Consumer]:
    busy = Counter(consumer_of(worker) for worker in session.scalars(select(Lease.worker)))
    alive = (Service.kind == CONSUMER, Service.state == ACTIVE, Service.alive_until > utc_now())
    found = []
    for service in session.scalars(select(Service).where(*alive).order_by(Service.name)):
        name = services.consumer_name(service.name)
        groups = frozenset(json.loads(service.group_names))
        found.append(_Consumer(name, service.site_id, groups, service.slots - busy[name]))
    return found
