"""What a manager tells: of itself, and while it is the active one what the database says of all work.

The database is asked when Prometheus asks, and again only after ten times as long as the last answer took, and at least
`FRESH_S`: however often and by however many it is scraped, a tenth of one connection's time goes into it at most.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database
from schema.processes import FINISHED, QUEUED, RUNNING, WAITING
from schema.queries import counting, scheduling, services
from schema.queries.publishing import first_pid_of, published_at
from services.engine.manager.manager import LEASES_EXPIRED, MESSAGES_LOST, STRAGGLERS, Manager
from services.log import get_logger
from services.masters import MASTERS, masters_missing
from services.operating.metrics.commands import command_label
from services.operating.status import fleet
from services.settings import Settings

log = get_logger("metrics")
FRESH_S = 10.0
RECENT_S = 86_400.0
REST = 10.0  # times as long as the last answer took
READY, BLOCKED = "ready", "blocked"  # what waits: for the manager, for other processes
UNFINISHED = (BLOCKED, READY, QUEUED, RUNNING)
TALLIES = {
    LEASES_EXPIRED: "Attempts whose worker fell silent, found by this manager.",
    MESSAGES_LOST: "Messages that the broker lost and this manager sent again.",
    STRAGGLERS: "Second attempts that this manager offered beside slow ones.",
}
QUEUE = ("site", "group")


def manager_registry(settings: Settings, manager: Manager) -> CollectorRegistry:
    """All that a manager tells."""
    registry = CollectorRegistry()
    registry.register(ManagerMetrics(settings.database_url.get_secret_value(), manager))
    return registry


class ManagerMetrics(Collector):
    """Asks the manager at each scrape, and the database not too often."""

    def __init__(self, database_url: str, manager: Manager) -> None:
        self._sessions = database.reading_factory(database.connect(database_url))
        self._manager = manager
        self._asking = threading.Lock()  # by one of several scrapes at a time
        self._answer: list[Metric] = []
        self._ask_again = 0.0

    def collect(self) -> Iterator[Metric]:
        """Of this manager, and of all work if it is active."""
        yield GaugeMetricFamily(
            "tianyu_manager_active",
            "1 of the manager that sends work, 0 of those that stand by.",
            self._manager.is_active,
        )
        for name, what in TALLIES.items():
            yield CounterMetricFamily(f"tianyu_{name}", what, value=self._manager.tally[name])
        if self._manager.is_active:
            yield from self._of_database()

    def _of_database(self) -> list[Metric]:
        with self._asking:
            began = time.monotonic()
            if began < self._ask_again:
                return self._answer
            up = GaugeMetricFamily("tianyu_database_up", "1 where the database answers the manager's questions.")
            try:
                with self._sessions() as session:
                    self._answer = list(_all_work(session))
                up.add_metric((), 1)
            except DBAPIError as error:
                log.warning("database does not tell metrics", reason=str(error.orig))
                self._answer = []
                up.add_metric((), 0)
            took = time.monotonic() - began
            self._ask_again = began + took + max(FRESH_S, REST * took)
            cost = GaugeMetricFamily("tianyu_database_answer_seconds", "What the newest of these answers took.", took)
            self._answer += [up, cost]
            return self._answer


def _gauge(name: str, what: str, labels: Iterable[str], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=tuple(labels))
    for names, value in values:
        family.add_metric(names, value)
    return family


def _all_work(session: Session) -> Iterator[Metric]:
    live = fleet.live_services(session)
    yield from _queues(session, live)
    yield from _commands(session)
    yield from _services(live)
    yield GaugeMetricFamily("tianyu_observations", "Observations registered.", counting.observations(session))
    yield _gauge(
        "tianyu_recent_observations_without_masters",
        "Observations of the sky published within a day without this master, which nobody left out.",
        ("site", "kind"),
        without_masters(session).items(),
    )


def without_masters(session: Session) -> dict[tuple[str, str], float]:
    """By site and kind; sites where nothing was published of late are not among them."""
    since = counting.now(session).replace(tzinfo=UTC).timestamp() - RECENT_S
    found: dict[tuple[str, str], float] = {}
    for one in counting.calibrated(session, first_pid_of(since)):
        missing = masters_missing(one.parameters, one.choices, one.reduced)
        for kind in MASTERS:
            found[one.site, kind] = found.get((one.site, kind), 0) + (kind in missing)
    return found


def _queues(session: Session, live: list[fleet.LiveService]) -> Iterator[Metric]:
    found, sent = counting.by_queue(session), counting.oldest_sent(session)
    at_work = counting.oldest_at_work(session)
    queues = scheduling.queues(session)  # afterwards: a group that was made meanwhile is among them
    name_of = {(one.site_id, one.group_id): (one.site, one.group) for one in queues}
    now = counting.now(session)
    counts = {(*key, state): 0 for key in name_of for state in (*UNFINISHED, *FINISHED)}
    ages: dict[tuple[str, str, str], float] = {}
    for item in found:
        key = (item.site_id, item.group_id)
        state = (BLOCKED if item.waits else READY) if item.status == WAITING else item.status
        counts[*key, state] = counts.get((*key, state), 0) + item.count
        if state == READY:
            ages[*name_of[key], READY] = now.replace(tzinfo=UTC).timestamp() - published_at(item.oldest_pid)
    for state, since in ((QUEUED, sent), (RUNNING, at_work)):
        ages |= {(*name_of[key], state): (now - time).total_seconds() for key, time in since.items()}
    yield _gauge(
        "tianyu_queue_processes",
        "Processes by state: blocked by others, ready (or to be tried again later), queued, running, or an end.",
        (*QUEUE, "state"),
        (((*name_of[site, group], state), count) for (site, group, state), count in counts.items()),
    )
    yield _gauge(
        "tianyu_queue_oldest_age_seconds",
        "Age of the oldest: ready since published, queued since its message was sent, running since its attempt began.",
        (*QUEUE, "state"),
        ((names, max(age, 0.0)) for names, age in ages.items()),
    )
    serving = {one: fleet.serving(live, one) for one in queues}
    yield _gauge(
        "tianyu_queue_consumers",
        "Consumers that are alive and take work of the group; those that hold do not count.",
        QUEUE,
        (((q.site, q.group), sum(c.state == services.ACTIVE for c in who)) for q, who in serving.items()),
    )
    yield _gauge(
        "tianyu_queue_slots",
        "Processes that these consumers run at a time.",
        QUEUE,
        (((q.site, q.group), sum(c.slots for c in who if c.state == services.ACTIVE)) for q, who in serving.items()),
    )
    yield from _hindered_queues(session, name_of, now)


def _hindered_queues(session: Session, name_of: dict[fleet.Key, tuple[str, str]], now: datetime) -> Iterator[Metric]:
    paused, states = fleet.pauses(session), fleet.queue_states(session)
    yield _gauge(
        "tianyu_queue_paused",
        "1 where an operator paused the group.",
        QUEUE,
        ((name, key in paused) for key, name in name_of.items()),
    )
    silences = {key: state.silent_since for key, state in states.items() if state.silent_since is not None}
    yield _gauge(
        "tianyu_queue_silent_seconds",
        "For how long the broker has taken no message of the group; 0 where it takes them.",
        QUEUE,
        (
            (name, max((now - silences[key]).total_seconds(), 0.0) if key in silences else 0.0)
            for key, name in name_of.items()
        ),
    )
    yield _gauge(
        "tianyu_queue_dead_letters",
        "Messages that consumers put aside.",
        QUEUE,
        ((name, states[key].dead_letters if key in states else 0) for key, name in name_of.items()),
    )


def _commands(session: Session) -> Iterator[Metric]:
    yield _gauge(
        "tianyu_processes",
        "Processes by command and state, of all that is published.",
        ("command", "state"),
        _labelled(counting.by_command(session)).items(),
    )
    yield _gauge(
        "tianyu_failed_processes",
        "Processes that failed for good, by the class of their last error.",
        ("command", "error_class"),
        _labelled(counting.failed(session)).items(),
    )


def _labelled(rows: Iterable[tuple[str, str | None, int]]) -> Counter[tuple[str, str]]:
    """Numbers by the label of the command, which unknown ones share, and another."""
    found: Counter[tuple[str, str]] = Counter()
    for command, other, count in rows:
        found[command_label(command), other or "none"] += count
    return found


def _services(live: list[fleet.LiveService]) -> Iterator[Metric]:
    kinds = (services.MANAGER, services.CONSUMER)
    states = (services.ACTIVE, services.STANDBY, services.HOLDING)
    yield _gauge(
        "tianyu_services",
        "Managers and consumers that are alive, by state.",
        ("kind", "state"),
        (
            ((kind, state), sum(one.kind == kind and one.state == state for one in live))
            for kind in kinds
            for state in states
        ),
    )
    lasting = [one for one in live if one.trouble is not None and one.trouble.until is None]
    yield _gauge(
        "tianyu_services_hindered",
        "Of them, those that say what hinders them (`tianyu status` says what).",
        ("kind",),
        (((kind,), sum(one.kind == kind for one in lasting)) for kind in kinds),
    )
