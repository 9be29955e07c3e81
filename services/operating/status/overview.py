"""Everything at a glance: observations, what is stuck, what runs and is retried, and the services."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from schema.processes import Process, ProcessDependence
from schema.queries import frames, stragglers
from schema.queries.stragglers import Straggler
from services.chosen import chosen_by
from services.deployment import Deployment
from services.operating.calibration import explain
from services.operating.status import fleet
from services.operating.status.fleet import LiveService, QueueStatus
from services.operating.status.observation_status import Hindered, ObservationStatus, Retry, iso
from services.operating.status.observations import status
from services.operating.status.stuck import Stuck, stuck
from services.operating.status.work import AtWork, at_work, hindered, retries
from services.settings import Settings

SHOWN_FACTOR = 4.0  # times what is usual, from which stragglers are shown where none gets a second attempt


@dataclass(frozen=True)
class Overview:
    """What `tianyu status` tells.

    ``running``, ``stragglers``, ``retrying``, ``hindered`` and ``stuck`` are of these observations, of those that make
    their masters, and, when all observations were asked for, of work without one. ``services`` and ``queues`` are
    always all.
    """

    observations: tuple[ObservationStatus, ...]
    running: tuple[AtWork, ...]
    stragglers: tuple[Straggler, ...]
    retrying: tuple[Retry, ...]
    hindered: tuple[Hindered, ...]
    stuck: tuple[Stuck, ...]
    services: tuple[LiveService, ...]
    queues: tuple[QueueStatus, ...]
    unread: tuple[str, ...] = ()  # reasons of files that are no frames and so in no observation; told of all alone

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only; times are ISO 8601, UTC."""
        return {
            "observations": [one.to_json() for one in self.observations],
            "running": [{"observation_id": one.observation_id, **one.running.to_json()} for one in self.running],
            "stragglers": [vars(one) | {"since": iso(one.since)} for one in self.stragglers],
            "retrying": [one.to_json() for one in self.retrying],
            "hindered": [one.to_json() for one in self.hindered],
            "stuck": [one.to_json() for one in self.stuck],
            "services": [one.to_json() for one in self.services],
            "queues": [one.to_json() for one in self.queues],
            "unread": list(self.unread),
        }


def overview(session: Session, observation_id: int | None = None, rules: Deployment | None = None) -> Overview:
    """The state of one observation or of all; a fixed number of queries, however much there is.

    And one for each kind of work that has lasted for long. What a straggler is, ``rules`` say; where they are
    all settings, the masters of one observation are explained.

    Raises:
        ConfigurationError: there is no such observation.
    """
    running = at_work(session)
    rules = rules or Deployment()
    slow = stragglers.find(session, rules.straggler_factor or SHOWN_FACTOR, rules.straggler_after_s)
    observations = _with_choices(session, status(session, observation_id, running))
    if observation_id is not None and isinstance(rules, Settings):
        masters = tuple(explain(session, rules, observation_id))
        observations = [replace(one, masters=masters) for one in observations]
    services = fleet.live_services(session)
    work = fleet.unstarted(session)
    queues = fleet.queues(session, services, work, running)
    found = stuck(session, services, queues, work, running)
    asked = None if observation_id is None else {observation_id, *_makers_of_masters(session, observation_id)}
    return Overview(
        observations=tuple(observations),
        running=tuple(one for one in running if _wanted(one.observation_id, asked)),
        stragglers=tuple(one for one in slow if _wanted(one.observation_id, asked)),
        retrying=tuple(one for one in retries(session) if _wanted(one.observation_id, asked)),
        hindered=tuple(one for one in hindered(session) if _wanted(one.observation_id, asked)),
        stuck=tuple(one for one in found if _wanted(one.observation_id, asked)),
        services=tuple(services),
        queues=tuple(queues.values()),
        unread=tuple(frames.reasons(session, None)) if observation_id is None else (),
    )


def _with_choices(session: Session, observations: list[ObservationStatus]) -> list[ObservationStatus]:
    chosen = chosen_by(session, {one.graph_pid for one in observations if one.graph_pid is not None})
    return [replace(one, published_by=chosen.get(one.graph_pid or 0, ())) for one in observations]


def _wanted(observation_id: int | None, asked: Collection[int] | None) -> bool:
    return asked is None or observation_id in asked


def _makers_of_masters(session: Session, observation_id: int) -> set[int]:
    """Observations whose processes this one's depend on."""
    child = aliased(Process)
    rows = session.scalars(
        select(Process.observation_id)
        .join(ProcessDependence, ProcessDependence.parent_pid == Process.pid)
        .join(child, child.pid == ProcessDependence.child_pid)
        .where(child.observation_id == observation_id, Process.observation_id != observation_id)
        .distinct()
    )
    return {maker for maker in rows if maker is not None}
