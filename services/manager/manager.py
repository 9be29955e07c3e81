"""The manager's loop: woken by finish events, it counts what has ended and sends what is ready; sweeps find what
events did not tell.
"""

import threading
import time
from collections import defaultdict

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database
from schema.processes import ProcessGroup, Site
from schema.queries import life, scheduling
from schema.queries.life import Failure
from schema.queries.scheduling import Ready
from services.broker import Broker, Message, connect, event_queue, work_queue
from services.errors import TransientError
from services.log import get_logger
from services.manager.leadership import leadership
from services.settings import Settings

log = get_logger("manager")
RECONNECT_S = 1.0
STANDBY_POLL_S = 1.0
POLL_S = 0.1  # how long a stop may go unnoticed
EVENTS_AT_ONCE = 1000


class Manager:
    """Counts, sends and sweeps until stopped. All it knows is in the database: any other may go on after it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = database.connect(settings.database_url.get_secret_value())
        self._sessions = database.session_factory(self._engine)
        self._leadership = leadership(self._engine)
        self._broker: Broker | None = None
        self._stop = threading.Event()
        self._next_sweep = 0.0

    def stop(self) -> None:
        """Leave after the current cycle; safe in a signal handler and from other threads."""
        self._stop.set()

    def run(self) -> None:
        """Work until ``stop`` is called; a database or broker that goes away is waited for."""
        while not self._stop.is_set():
            try:
                if not self._leadership.hold():
                    self._stop.wait(STANDBY_POLL_S)
                    continue
                self._work()
            except (TransientError, DBAPIError) as error:
                reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
                log.warning("interrupted, going on in a moment", reason=reason)
                self._disconnect()
                self._stop.wait(RECONNECT_S)
        self._disconnect()
        log.info("manager stopped")

    def _disconnect(self) -> None:
        if self._broker is not None:
            self._broker.close()
            self._broker = None
        try:
            self._leadership.release()
        except DBAPIError as error:
            log.debug("lock was gone with its connection", reason=str(error.orig))

    def _work(self) -> None:
        self._broker = broker = self._connect()
        log.info("manager active")
        self._next_sweep = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= self._next_sweep:
                if not self._leadership.hold():
                    raise TransientError("another manager is active")
                self._sweep(broker)
                self._next_sweep = time.monotonic() + self._settings.sweep_s
            self._advance(broker)
            self._wait_for_events(broker)

    def _connect(self) -> Broker:
        broker = connect(self._settings.broker_url.get_secret_value(), self._settings.root)
        with self._sessions.begin() as session:
            sites = session.scalars(select(Site.name)).all()
            groups = session.scalars(select(ProcessGroup.name)).all()
        for site in sites:
            broker.declare_events(event_queue(site))
            for group in groups:
                broker.declare(work_queue(site, group))
        broker.subscribe([event_queue(site) for site in sites], EVENTS_AT_ONCE)
        return broker

    def _wait_for_events(self, broker: Broker) -> None:
        """Sleep until a process ends or a sweep is due; events say only that there is something to count."""
        wait = min(max(self._next_sweep - time.monotonic(), 0.0), POLL_S)
        delivery = broker.receive(wait)
        for _ in range(EVENTS_AT_ONCE):
            if delivery is None:
                return
            broker.settle(delivery)
            delivery = broker.receive(0.0)

    def _advance(self, broker: Broker) -> None:
        """Count what has ended until nothing more follows from it, then send what is ready."""
        while database.transact(self._sessions, scheduling.propagate):
            pass
        while ready := database.transact(self._sessions, scheduling.take_ready):
            self._send(broker, ready)

    def _send(self, broker: Broker, ready: list[Ready]) -> None:
        by_queue: dict[str, list[Ready]] = defaultdict(list)
        for item in ready:
            by_queue[work_queue(item.site, item.group)].append(item)
        for queue, items in by_queue.items():
            broker.send(queue, [Message(item.pid, item.attempt) for item in items])
            pids = [item.pid for item in items]
            database.transact(self._sessions, lambda session, pids=pids: scheduling.mark_sent(session, pids))  # type: ignore[misc]

    def _sweep(self, broker: Broker) -> None:
        """What events cannot tell: workers that died, messages that were never sent or were lost."""
        database.transact(self._sessions, self._free_expired)
        database.transact(self._sessions, lambda session: self._find_lost_messages(session, broker))
        while unsent := database.transact(self._sessions, scheduling.unsent):
            log.warning("sending again what was queued without a confirmed message", processes=len(unsent))
            self._send(broker, unsent)

    def _free_expired(self, session: Session) -> None:
        for pid, attempt, worker, max_attempts in life.expired_leases(session):
            message = f"process {pid}: worker {worker} stopped renewing its lease in attempt {attempt}; was it killed?"
            again = attempt < max_attempts
            if not again:
                message += f" No attempt of {max_attempts} is left: look at its log, then `tianyu retry {pid}`"
            freed = life.fail(
                session,
                pid,
                attempt,
                Failure("transient", message),
                retry_in_s=0.0 if again else None,
                outcome="lost",
            )
            if freed:
                log.warning("lease expired", pid=pid, attempt=attempt, worker=worker, again=again)

    def _find_lost_messages(self, session: Session, broker: Broker) -> None:
        seconds = self._settings.resend_after_s
        for (site, group), unclaimed in scheduling.queued_since(session, seconds).items():
            if broker.depth(work_queue(site, group)) < unclaimed:
                log.warning("messages lost by the broker", site=site, group=group, processes=unclaimed)
                scheduling.forget_sent(session, site, group, seconds)
