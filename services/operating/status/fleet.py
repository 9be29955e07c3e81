"""Who is there to work, and what lies before them: live services, and the queues by site and group."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import QUEUED, WAITING, PausedGroup, Process, QueueState, Service, Site
from schema.queries.scheduling import Queue
from schema.queries.scheduling import queues as all_queues
from schema.queries.services import ACTIVE, CONSUMER, HOLDING, MANAGER
from services.operating.status.observation_status import iso
from services.operating.status.work import AtWork

Key = tuple[int, int]  # site_id, group_id


RECENT_S = 3600.0  # that a trouble is told of when it is over


@dataclass(frozen=True)
class ServiceTrouble:
    """What hinders a service, or did within the last hour; ``until`` is None while it lasts. Times are UTC."""

    reason: str
    since: datetime
    until: datetime | None

    def __str__(self) -> str:
        until = "" if self.until is None else f" until {self.until:%Y-%m-%d %H:%M:%S}"
        return f"since {self.since:%Y-%m-%d %H:%M:%S}{until} UTC: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; times are ISO 8601, UTC."""
        return {
            "reason": self.reason,
            "since": iso(self.since),
            "until": None if self.until is None else iso(self.until),
        }


@dataclass(frozen=True)
class LiveService:
    """A manager or consumer that has said so lately; ``alive_s`` seconds are left until it must say so again."""

    name: str
    kind: str
    state: str
    host: str
    version: str
    site: str | None
    groups: tuple[str, ...]
    slots: int
    since: datetime
    alive_s: float
    trouble: ServiceTrouble | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; times are ISO 8601, UTC."""
        trouble = None if self.trouble is None else self.trouble.to_json()
        return vars(self) | {"since": iso(self.since), "groups": list(self.groups), "trouble": trouble}


@dataclass(frozen=True)
class QueueStatus:
    """One group of a site: ``ready`` waits for the manager, ``queued`` for a consumer, ``delayed`` for another try.

    ``blocked`` waits for other processes, and no consumer could do it yet.
    """

    site: str
    group: str
    ready: int
    queued: int
    delayed: int
    blocked: int
    running: int
    consumers: int
    holding: int  # of the consumers: they take no work
    slots: int
    paused_since: datetime | None
    silent_since: datetime | None = None
    """The broker takes no messages for it, as the active manager says, and ``silent_because`` of this."""
    silent_because: str | None = None
    dead_letters: int = 0

    @property
    def unstarted(self) -> int:
        """Work that has all that it depends on."""
        return self.ready + self.queued + self.delayed

    def to_json(self) -> dict[str, Any]:
        """Plain values; times are ISO 8601, UTC."""
        times = {"paused_since": self.paused_since, "silent_since": self.silent_since}
        return vars(self) | {name: None if time is None else iso(time) for name, time in times.items()}


@dataclass(frozen=True)
class Unstarted:
    """Processes of one queue and observation that have not started.

    ``ready``: they wait for no other process; ``sent``: the broker has their messages.
    """

    observation_id: int | None
    site_id: int
    group_id: int
    status: str
    ready: bool
    delayed: bool
    sent: bool
    count: int
    first_pid: int


def live_services(session: Session) -> list[LiveService]:
    """Managers first, then consumers; by host and name."""
    rows = session.execute(
        select(Service, Site.name, utc_now())
        .outerjoin(Site, Site.site_id == Service.site_id)
        .where(Service.alive_until > utc_now())
        .order_by(Service.kind.desc(), Service.state, Service.host, Service.name)
    )
    return [
        LiveService(
            name=service.name,
            kind=service.kind,
            state=service.state,
            host=service.host,
            version=service.version,
            site=site,
            groups=tuple(json.loads(service.group_names)),
            slots=service.slots,
            since=service.started_at,
            alive_s=(service.alive_until - now).total_seconds(),
            trouble=_trouble(service, now),
        )
        for service, site, now in rows
    ]


def _trouble(service: Service, now: datetime) -> ServiceTrouble | None:
    since, until = service.trouble_since, service.trouble_until
    if service.trouble is None or since is None:
        return None
    if until is not None and (now - until).total_seconds() > RECENT_S:
        return None
    return ServiceTrouble(service.trouble, since, until)


def unstarted(session: Session) -> list[Unstarted]:
    """All that waits or is queued, counted by observation, queue and what it waits for."""
    ready = Process.pending == 0
    delayed = and_(Process.not_before.is_not(None), Process.not_before > utc_now())
    sent = and_(Process.status == QUEUED, Process.sent_at.is_not(None))
    what = (Process.observation_id, Process.site_id, Process.group_id, Process.status, ready, delayed, sent)
    rows = session.execute(
        select(*what, func.count(), func.min(Process.pid)).where(Process.status.in_((WAITING, QUEUED))).group_by(*what)
    )
    return [
        Unstarted(observation, site, group, state, bool(is_ready), bool(is_delayed), bool(is_sent), count, first)
        for observation, site, group, state, is_ready, is_delayed, is_sent, count, first in rows
    ]


def pauses(session: Session) -> dict[Key, datetime]:
    """Since when groups are paused."""
    rows = session.execute(select(PausedGroup.site_id, PausedGroup.group_id, PausedGroup.paused_at))
    return {(site_id, group_id): since for site_id, group_id, since in rows}


def queue_states(session: Session) -> dict[Key, QueueState]:
    """Queues that take no messages or have put some aside."""
    return {(state.site_id, state.group_id): state for state in session.scalars(select(QueueState))}


def queues(
    session: Session, services: Sequence[LiveService], work: Iterable[Unstarted], running: Iterable[AtWork]
) -> dict[Key, QueueStatus]:
    """All queues of registered sites and groups, by their ids."""
    waits_for = ("ready", "queued", "delayed", "blocked", "running")
    counts: dict[Key, dict[str, int]] = defaultdict(lambda: dict.fromkeys(waits_for, 0))
    for item in work:
        waits = "blocked" if not item.ready else "delayed" if item.delayed else "ready"
        counts[item.site_id, item.group_id]["queued" if item.status == QUEUED else waits] += item.count
    for one in running:
        counts[one.site_id, one.group_id]["running"] += 1
    paused, states = pauses(session), queue_states(session)
    found = {}
    for queue in all_queues(session):
        key, consumers = (queue.site_id, queue.group_id), serving(services, queue)
        state = states.get(key)
        found[key] = QueueStatus(
            site=queue.site,
            group=queue.group,
            consumers=len(consumers),
            holding=sum(consumer.state == HOLDING for consumer in consumers),
            slots=sum(consumer.slots for consumer in consumers),
            paused_since=paused.get(key),
            silent_since=state.silent_since if state else None,
            silent_because=state.reason if state else None,
            dead_letters=state.dead_letters if state else 0,
            **counts[key],
        )
    return found


def serving(services: Iterable[LiveService], queue: QueueStatus | Queue) -> list[LiveService]:
    """Consumers that are alive and work for a queue."""
    return [one for one in services if one.kind == CONSUMER and one.site == queue.site and queue.group in one.groups]


def active_managers(services: Iterable[LiveService]) -> list[LiveService]:
    """Managers that send work; there should be one."""
    return [service for service in services if service.kind == MANAGER and service.state == ACTIVE]


def standby_managers(services: Iterable[LiveService]) -> list[LiveService]:
    """Managers that would take over."""
    return [service for service in services if service.kind == MANAGER and service.state != ACTIVE]
