"""What cannot move by itself: why, and what to do. A process may be stuck for more than one reason."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, false, func, not_, or_, select
from sqlalchemy.orm import Session, aliased

from schema.processes import WAITING, Process, ProcessDependence
from schema.queries.scheduling import counted
from services.alike import examples
from services.engine.broker import dead_letter_queue, work_queue
from services.operating.status.fleet import (
    Key,
    LiveService,
    QueueStatus,
    Unstarted,
    active_managers,
    serving,
    standby_managers,
)
from services.operating.status.work import AtWork

NO_MANAGER, NO_CONSUMER, PAUSED, HELD, SILENT = "no_manager", "no_consumer", "paused", "held", "broker_takes_nothing"
LEASE_EXPIRED, INCONSISTENT = "lease_expired", "inconsistent"
NO_ACTIVE_MANAGER = "no manager is active: nothing is sent"
SILENCE_REMEDY = (
    "on the broker's machines `rabbitmq-diagnostics alarms` says whether memory or disk is short, and `rabbitmqctl "
    "cluster_status` which node is down: free or start that; a queue that alone takes nothing is made anew by the "
    "manager within a minute, and its work sent again"
)


@dataclass(frozen=True)
class Stuck:
    """Processes of one observation that nothing will move: ``why``, and the ``remedy``; ``pids`` are examples."""

    reason: str
    observation_id: int | None
    site: str | None
    group: str | None
    count: int
    pids: tuple[int, ...]
    why: str
    remedy: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self) | {"pids": list(self.pids)}


def stuck(
    session: Session,
    services: Sequence[LiveService],
    queues: Mapping[Key, QueueStatus],
    work: Sequence[Unstarted],
    running: Sequence[AtWork],
) -> list[Stuck]:
    """All that is stuck, by reason and observation."""
    led = bool(active_managers(services))
    return [
        *([] if led else _unled(services, work)),
        *_unserved(services, queues, work),
        *_expired(running, led),
        *_inconsistent(session, work, running),
    ]


def manager_remedy(services: Iterable[LiveService]) -> str:
    """What to do where no manager is active."""
    standby = standby_managers(services)
    hindered = [one for one in standby if one.trouble is not None and one.trouble.until is None]
    if hindered:
        return (
            f"the manager on {hindered[0].host} is hindered {hindered[0].trouble}; mend that, and it goes on by itself"
        )
    if standby:
        hosts = ", ".join(sorted({manager.host for manager in standby}))
        return f"a manager on {hosts} stands by and takes over in a moment; if it does not, look at its log"
    return "start `tianyu manager` (or the same `tianyu run` again, where that began the work)"


def consumer_remedy(queue: QueueStatus) -> str:
    """What to do where a queue has no consumer."""
    return f"start `tianyu consumer --group {queue.group}` at site {queue.site}"


def resume_remedy(queue: QueueStatus) -> str:
    """What to do where a queue is paused."""
    return f"`tianyu resume {queue.group}` at site {queue.site}, when the reason is gone"


def dead_letters(queue: str, count: int) -> str:
    """What the broker has put aside of a queue."""
    return f"{count} message{'s' if count != 1 else ''} put aside in {dead_letter_queue(queue)}"


def dead_letters_remedy(queue: str) -> str:
    """What to do with it."""
    return (
        "nobody could read them, they were for another queue, or came back too often: consumers' logs say which, look "
        "who sends them; processes do not need them, so that they may go: "
        f"`rabbitmqctl purge_queue {dead_letter_queue(queue)}`"
    )


def _unled(services: Sequence[LiveService], work: Iterable[Unstarted]) -> Iterator[Stuck]:
    """Without a manager nothing that waits is ever sent."""
    by_observation: dict[int | None, list[Unstarted]] = defaultdict(list)
    for item in work:
        if item.status == WAITING:
            by_observation[item.observation_id].append(item)
    for observation, items in by_observation.items():
        yield Stuck(
            NO_MANAGER,
            observation,
            None,
            None,
            sum(item.count for item in items),
            examples([item.first_pid for item in items if item.ready] or [item.first_pid for item in items]),
            NO_ACTIVE_MANAGER,
            manager_remedy(services),
        )


def _unserved(
    services: Sequence[LiveService], queues: Mapping[Key, QueueStatus], work: Iterable[Unstarted]
) -> Iterator[Stuck]:
    """Work whose group is paused, or has no consumer, or none that takes work."""
    unstarted: dict[tuple[Key, int | None], list[Unstarted]] = defaultdict(list)
    for item in work:
        if item.ready or item.status != WAITING:
            unstarted[(item.site_id, item.group_id), item.observation_id].append(item)
    for (key, observation), items in unstarted.items():
        queue = queues[key]
        waiting = [item for item in items if item.status == WAITING]
        if queue.paused_since is not None and waiting:
            why = (
                f"group {queue.group!r} of site {queue.site} is paused since {queue.paused_since:%Y-%m-%d %H:%M:%S} UTC"
            )
            yield _of_queue(PAUSED, observation, queue, waiting, why, resume_remedy(queue))
        unsent = [item for item in items if not item.sent]
        if queue.silent_since is not None and unsent and queue.paused_since is None:
            why = (
                f"queue {work_queue(queue.site, queue.group)} takes no messages since "
                f"{queue.silent_since:%Y-%m-%d %H:%M:%S} UTC: {queue.silent_because}"
            )
            yield _of_queue(SILENT, observation, queue, unsent, why, SILENCE_REMEDY)
        if not queue.consumers:
            why = f"no consumer of group {queue.group!r} of site {queue.site} is alive"
            yield _of_queue(NO_CONSUMER, observation, queue, items, why, consumer_remedy(queue))
        elif queue.holding == queue.consumers:
            held = [one.trouble.reason for one in serving(services, queue) if one.trouble is not None]
            why = f"no consumer of group {queue.group!r} of site {queue.site} takes work: {held[0] if held else 'why?'}"
            yield _of_queue(HELD, observation, queue, items, why, "they go on by themselves when that is mended")


def _of_queue(
    reason: str, observation: int | None, queue: QueueStatus, items: Sequence[Unstarted], why: str, remedy: str
) -> Stuck:
    count, pids = sum(item.count for item in items), examples([item.first_pid for item in items])
    return Stuck(reason, observation, queue.site, queue.group, count, pids, why, remedy)


def _expired(running: Iterable[AtWork], led: bool) -> Iterator[Stuck]:
    """Work whose worker has stopped renewing its lease."""
    by_host: dict[tuple[int | None, str], list[AtWork]] = defaultdict(list)
    for item in running:
        if item.running.lease_s is not None and item.running.lease_s < 0:
            by_host[item.observation_id, item.running.host].append(item)
    for (observation, host), items in by_host.items():
        workers = sorted({item.running.worker for item in items})
        named = ", ".join(workers[:3]) + (f" and {len(workers) - 3} more" if len(workers) > 3 else "")
        yield Stuck(
            LEASE_EXPIRED,
            observation,
            None,
            None,
            len(items),
            examples([item.running.pid for item in items]),
            f"lease expired: {named} on {host} did not renew it, and is probably dead",
            "nothing to do, the manager frees it within seconds"
            if led
            else "start a manager: it frees the work of dead workers",
        )


def _inconsistent(session: Session, work: Sequence[Unstarted], running: Iterable[AtWork]) -> Iterator[Stuck]:
    """What must never be: work that waits for parents which are all finished and counted, or runs without a lease.

    Looked for where nothing else moves: elsewhere it will come to light, and each waiting process costs two look-ups.
    """
    remedy = (
        "an internal inconsistency: please report it with the output of `tianyu status --json`; `tianyu cancel PID`, "
    )
    remedy += "then `tianyu retry PID` counts anew"
    moving = {item.observation_id for item in running} | {
        item.observation_id for item in work if item.ready or item.status != WAITING
    }
    still = {item.observation_id for item in work} - moving
    for observation, count, first in session.execute(waits_for_nothing(still)) if still else ():
        why = "waits for other processes, but all that it depends on is finished and counted"
        yield Stuck(INCONSISTENT, observation, None, None, count, (first,), why, remedy)
    for item in running:
        if item.running.lease_s is None:
            why = "runs without a lease"
            yield Stuck(INCONSISTENT, item.observation_id, None, None, 1, (item.running.pid,), why, remedy)


def waits_for_nothing(observations: Collection[int | None]) -> Select[int | None, int, int]:
    """Query of (observation, count, first PID): pending, though no parent is unfinished or yet to be counted."""
    concerned = or_(
        Process.observation_id.in_([one for one in observations if one is not None]),
        Process.observation_id.is_(None) if None in observations else false(),
    )
    parent = aliased(Process)
    uncounted = (
        exists()
        .where(
            ProcessDependence.child_pid == Process.pid,
            parent.pid == ProcessDependence.parent_pid,
            not_(counted(parent)),
        )
        .correlate(Process)
    )
    return (
        select(Process.observation_id, func.count(), func.min(Process.pid))
        .where(Process.status == WAITING, Process.pending > 0, concerned, ~uncounted)
        .group_by(Process.observation_id)
    )
