"""The manager's loop: woken by finish events, it counts what has ended and sends what is ready; sweeps find what
events did not tell.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database
from schema.attempts import Failure
from schema.database import Sessions
from schema.processes import LOST
from schema.queries import life, scheduling, services, stragglers
from schema.queries.scheduling import Advance, Queue
from services.engine.broker import Broker, RefusedError, event_queue, open_broker, work_queue
from services.engine.manager.leadership import leadership
from services.engine.manager.outbox import Outbox
from services.engine.manager.queue_care import QueueCare
from services.engine.manager.range_keeper import RangeKeeper
from services.engine.presence import Announcer, introduce
from services.errors import ConfigurationError, TransientError, database_denies
from services.log import get_logger
from services.settings import Settings

log = get_logger("manager")
RECONNECT_S = 1.0
STANDBY_POLL_S = 1.0
POLL_S = 0.1  # how long a stop may go unnoticed
# While consumers have work before them the manager need not answer each end by itself: it costs as much as ten.
PLENTY = 16  # messages that are out
PLENTY_PAUSE_S = 0.05
CYCLE = "cycle"  # subject of the trouble that interrupted one
LEASES_EXPIRED, MESSAGES_LOST, STRAGGLERS = "leases_expired", "messages_lost", "stragglers"


class Manager:
    """Counts, sends and sweeps until stopped. All it knows is in the database: any other may go on after it."""

    def __init__(self, settings: Settings, stop: threading.Event | None = None) -> None:
        self._settings = settings
        engine = database.connect(settings.database_url.get_secret_value(), database.SILENCE_S)
        self._engine = engine
        self._leadership = leadership(engine)
        self._ranges: RangeKeeper | None = None
        self._announcer = Announcer(
            database.session_factory(engine), introduce(services.MANAGER), services.STANDBY, settings.lease_s, self.stop
        )
        # While the database was away nobody could renew a lease: whoever is alive does so first.
        self._leases_stand_until = 0.0
        self._holder = ""  # of the leadership, as far as it was told of
        self._broker: Broker | None = None
        self._reached = False
        self._declared: set[str] = set()
        self._queues: list[Queue] = []
        self._short: set[tuple[str, str]] = set()  # queues that lacked messages in the last sweep
        self._stop = stop or threading.Event()
        self.tally: Counter[str] = Counter()
        """How often since its start: ``LEASES_EXPIRED``, ``MESSAGES_LOST``, ``STRAGGLERS``."""

    @property
    def is_active(self) -> bool:
        """Whether it is the one that sends."""
        return self._announcer.state == services.ACTIVE

    def stop(self) -> None:
        """Leave after the current cycle; safe in a signal handler and from other threads."""
        self._stop.set()

    def run(self) -> None:
        """Work until ``stop`` is called; a database or broker that is away is waited for.

        Raises:
            ConfigurationError: the database does not let this user do what it must, or was upgraded for later programs.
            RefusedError: the broker is there at the start, and does not let this user in.
        """
        self._announcer.thread.start()
        try:
            while not self._stop.is_set():
                self._announcer.thread.raise_failure()
                self._lead_or_stand_by()
        finally:
            self._disconnect()
            self._announcer.stop()
        log.info("manager stopped")
        if self._announcer.refusal is not None:
            raise self._announcer.refusal

    def _lead_or_stand_by(self) -> None:
        try:
            sessions = self._leadership.acquire()
            if sessions is None:
                self._stand_by(self._leadership.holder)
                self._stop.wait(STANDBY_POLL_S)
            else:
                self._lead(sessions)
        except (TransientError, DBAPIError) as error:
            if isinstance(error, DBAPIError) and database.is_denied(error):
                raise ConfigurationError(database_denies(error)) from error
            if isinstance(error, RefusedError) and not self._reached:
                raise
            if isinstance(error, DBAPIError):
                self._leases_stand_until = time.monotonic() + self._settings.lease_s
            reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
            log.warning("interrupted, going on in a moment", reason=reason)
            self._announcer.troubles.began(CYCLE, reason)
            self._disconnect()
            self._stop.wait(RECONNECT_S)

    def _stand_by(self, holder: str) -> None:
        """Say once who is active."""
        self._announcer.troubles.ended(CYCLE)
        if holder != self._holder:
            log.info("standing by", active=holder)
            self._holder = holder

    def _disconnect(self) -> None:
        self._announcer.set_state(services.STANDBY)
        if self._ranges is not None:
            self._ranges.stop()
            self._ranges = None
        if self._broker is not None:
            self._broker.close()
            self._broker = None
        try:
            self._leadership.release()
        except DBAPIError as error:
            log.debug("lock was gone with its connection", reason=str(error.orig))

    def _lead(self, sessions: Sessions) -> None:
        self._broker = broker = open_broker(self._settings)
        self._reached = True
        outbox = Outbox(broker, partial(self._note_sent, sessions))
        care = QueueCare(broker, outbox, sessions, self._announcer.troubles)
        self._declared = set()
        self._holder = ""
        log.info("manager active")
        self._announcer.set_state(services.ACTIVE)
        self._ranges = RangeKeeper(self._engine, self._settings.rows_per_range, self._announcer.troubles)
        self._ranges.thread.start()
        next_sweep = 0.0
        while not self._stop.is_set():
            self._announcer.thread.raise_failure()
            self._ranges.thread.raise_failure()
            sweeps = time.monotonic() >= next_sweep
            if sweeps:
                if not self._leadership.held():
                    raise TransientError("another manager is active")
                self._declared -= outbox.refused  # is one of them gone?
                self._declare(sessions, broker)
                self._sweep(sessions, broker, outbox)
                care.look(self._queues)
                next_sweep = time.monotonic() + self._settings.sweep_s
            state = self._advance(sessions, outbox)
            if sweeps:
                self._offer_seconds(sessions, outbox)
            self._announcer.troubles.ended(CYCLE)
            if state.queued > PLENTY:
                self._stop.wait(PLENTY_PAUSE_S)
            broker.wait_for_events(min(max(next_sweep - time.monotonic(), 0.0), POLL_S))

    def _declare(self, sessions: Sessions, broker: Broker) -> None:
        """Make the queues of all sites and groups, those registered since the last look included."""
        with sessions.begin() as session:
            queues = scheduling.queues(session)
        self._queues = queues
        for queue in queues:
            work, events = work_queue(queue.site, queue.group), event_queue(queue.site)
            if events not in self._declared:
                broker.declare_events(events)
                broker.listen(events)
                self._declared.add(events)
            if work not in self._declared:
                broker.declare(work)
                self._declared.add(work)

    def _advance(self, sessions: Sessions, outbox: Outbox) -> Advance:
        """Count what has ended, then send what is ready."""
        window = self._settings.queue_window
        state = database.transact(sessions, lambda session: scheduling.advance(session, window).commit(session))
        outbox.send(state.ready)
        outbox.collect()
        return state

    def _offer_seconds(self, sessions: Sessions, outbox: Outbox) -> None:
        """Give what is slow to others as well, now that all else that is ready has been queued."""
        factor, least_s = self._settings.straggler_factor, self._settings.straggler_after_s
        if not factor or time.monotonic() < self._leases_stand_until:
            return
        offered = database.transact(sessions, partial(stragglers.offer_seconds, factor=factor, least_s=least_s))
        self.tally[STRAGGLERS] += len(offered)
        for one, _ in offered:
            log.warning(
                "straggler, offered to others too",
                pid=one.pid,
                command=one.command,
                attempt=one.attempt,
                worker=one.worker,
                seconds=round(one.seconds, 1),
                usual_s=round(one.usual_s, 3),
            )
        outbox.send([ready for _, ready in offered])
        outbox.collect()

    @staticmethod
    def _note_sent(sessions: Sessions, pids: Sequence[int]) -> None:
        if pids:
            database.transact(sessions, scheduling.mark_sent(pids).commit)

    def _sweep(self, sessions: Sessions, broker: Broker, outbox: Outbox) -> None:
        """What events cannot tell: workers that died, messages that were never sent or were lost."""
        self._look_at_leases(sessions)
        self._find_lost_messages(sessions, broker)
        database.transact(sessions, services.forget_silent)
        outbox.try_again()
        while unsent := database.transact(sessions, partial(scheduling.unsent, but_of=self._closed(outbox))):
            log.warning("sending again what was queued without a confirmed message", processes=len(unsent))
            outbox.send(unsent)

    def _closed(self, outbox: Outbox) -> list[Queue]:
        """Queues that take nothing now."""
        return [queue for queue in self._queues if not outbox.takes(work_queue(queue.site, queue.group))]

    def _look_at_leases(self, sessions: Sessions) -> None:
        if time.monotonic() >= self._leases_stand_until:
            self.tally[LEASES_EXPIRED] += database.transact(sessions, self._free_expired)

    def _free_expired(self, session: Session) -> int:
        freed_leases = 0
        for lease in life.expired_leases(session):
            pid, attempt, worker = lease.pid, lease.attempt, lease.worker
            message = f"process {pid}: worker {worker} stopped renewing its lease in attempt {attempt}; was it killed?"
            again = attempt < lease.max_attempts or lease.beside
            if not again:
                message += f" No attempt of {lease.max_attempts} is left: look at its log, then `tianyu retry {pid}`"
            held = (pid, attempt, Failure("transient", message))
            freed = life.fail(*held, retry_in_s=0.0 if again else None, spared=lease.beside, outcome=LOST)
            if freed.run(session) or life.let_go(*held, outcome=LOST).run(session):
                log.warning("lease expired", pid=pid, attempt=attempt, worker=worker, again=again)
                freed_leases += 1
        return freed_leases

    def _find_lost_messages(self, sessions: Sessions, broker: Broker) -> None:
        """Compare what should be in the queues with what is; a shortage counts when the next sweep finds it too.

        The broker is asked first: what consumers take meanwhile is then missing on the side of the database. What is
        delivered and not yet claimed is missing at the broker, but not for long.
        """
        seconds = self._settings.resend_after_s
        depths = {
            (queue.site, queue.group): broker.depth(work_queue(queue.site, queue.group)) for queue in self._queues
        }
        unclaimed = database.transact(sessions, lambda session: scheduling.queued_since(session, seconds))
        short = {queue for queue, count in unclaimed.items() if depths.get(queue, count) < count}
        for site, group in sorted(short & self._short):
            log.warning("messages lost by the broker", site=site, group=group, processes=unclaimed[site, group])
            database.transact(sessions, partial(scheduling.forget_sent, site=site, group=group, seconds=seconds))
            self.tally[MESSAGES_LOST] += unclaimed[site, group]
        self._short = short - self._short
