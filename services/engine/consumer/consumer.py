"""The consumer's main loop: serve the broker, hand deliveries to free slots, leave on SIGTERM."""

import os
import threading
import time
from collections.abc import Sequence

from schema import database
from schema.attempts import NoteEnd
from schema.queries import services
from services.engine.broker import Broker, Delivery, RefusedError, open_broker, work_queue
from services.engine.consumer.child import Child
from services.engine.consumer.root_watch import RootWatch
from services.engine.consumer.slot import Slot
from services.engine.presence import HOST, Announcer, introduce
from services.engine.troubles import BROKER
from services.errors import TianyuError, TransientError
from services.log import get_logger
from services.settings import Settings

log = get_logger("consumer")
POLL_S = 0.1  # how long a stop may go unnoticed
RECONNECT_S = 1.0
RECONNECT_MOST_S = 5.0
# A queue that was deleted and made anew knows nothing of those who had subscribed to it, and does not tell all of them.
QUIET_S = 60.0
ROOT = "root"  # subject of a trouble


class Consumer:
    """Receives the work of one or more groups of a site and runs it in slots, one for each of the worker processes."""

    def __init__(
        self,
        settings: Settings,
        groups: Sequence[str],
        workers: Sequence[Child],
        stop: threading.Event | None = None,
        note_end: NoteEnd | None = None,
    ) -> None:
        self._settings = settings
        self._queues = [work_queue(settings.site, group) for group in groups]
        self._name = f"{HOST}:{os.getpid()}"
        self._slots = [
            Slot(f"{self._name}/{number}", settings, lambda: self._broker, worker, note_end)
            for number, worker in enumerate(workers)
        ]
        self._root = RootWatch(settings.root, settings.min_free_bytes)
        self._gave_back = False  # messages, which go with the connection
        self._giving = threading.Lock()
        self._broker: Broker
        self._heard = 0.0  # when something came last
        self._announcer = Announcer(
            database.session_factory(database.connect(settings.database_url.get_secret_value(), database.SILENCE_S)),
            introduce(services.CONSUMER, site=settings.site, groups=tuple(groups), slots=len(workers)),
            services.ACTIVE,
            settings.lease_s,
            self.stop,
        )
        self._stop = stop or threading.Event()

    @property
    def busy(self) -> int:
        """Slots with work."""
        return sum(slot.load > 0 for slot in self._slots)

    @property
    def is_holding(self) -> bool:
        """Whether it takes no work because of its root."""
        return self._announcer.state == services.HOLDING

    def stop(self) -> None:
        """Finish what runs, then leave; safe in a signal handler."""
        self._stop.set()

    def _connect(self) -> None:
        broker = open_broker(self._settings)
        try:
            for queue in self._queues:
                broker.declare(queue)
            self._broker = broker  # before its first message comes, which is settled with it
            broker.subscribe(self._queues, len(self._slots), self._give, self._name)
        except TransientError:
            broker.close()  # it may still deliver
            raise
        self._heard = time.monotonic()

    def _give(self, delivery: Delivery) -> None:
        if self._root.hindrance:
            self._gave_back = True
            return
        # Prefetch equals the number of slots: one is free, or was busy when the connection to the broker was lost.
        self._heard = time.monotonic()
        with self._giving:
            min(self._slots, key=lambda slot: slot.load).give(delivery)

    def run(self) -> None:
        """Work until ``stop`` is called.

        Raises:
            ConfigurationError: the database or the broker does not let this user do what it must, or the database was
                upgraded for later programs.
            RefusedError: the broker is there at the start, and does not let this user in.
        """
        self._announcer.thread.start()
        self._root.thread.start()
        try:
            self._reach_broker(at_start=True)
            if not self._stop.is_set():
                self._serve()
        finally:
            self._root.stop()
            self._announcer.stop()
            log.info("consumer stopped")
        if self._announcer.refusal is not None:
            raise self._announcer.refusal

    def _serve(self) -> None:
        for slot in self._slots:
            slot.thread.start()
        log.info("consumer ready", queues=self._queues, slots=len(self._slots))
        while not self._stop.is_set() and self._failure is None:
            if self._gave_back or self._root.hindrance:
                self._hold()
                continue
            try:
                self._broker.serve(POLL_S)
            except TransientError as error:
                log.warning("broker lost, connecting again", reason=str(error))
                self._announcer.troubles.began(BROKER, str(error))
                self._stop.wait(RECONNECT_S)
                self._reach_broker()
            if self._is_idle() and time.monotonic() - self._heard > QUIET_S:
                log.debug("nothing has come for long, subscribing anew")
                self._broker.close()
                self._reach_broker()
        failure = self._failure
        self._leave()
        if failure is not None:
            raise failure

    @property
    def _failure(self) -> TianyuError | None:
        """Why a thread has ended without being told to."""
        threads = [self._announcer.thread, self._root.thread, *(slot.thread for slot in self._slots)]
        return next((thread.failure for thread in threads if thread.failure is not None), None)

    def _hold(self) -> None:
        """Take no work while the root cannot take what is made; what is not begun goes back to the queue."""
        self._broker.close()
        self._gave_back = False
        for slot in self._slots:
            slot.recall()
        told = ""
        while reason := self._root.hindrance:
            if not told:
                log.warning("holding, no work is taken", reason=reason)
            told = reason
            self._announcer.troubles.began(ROOT, reason)
            self._announcer.set_state(services.HOLDING)
            if self._stop.wait(POLL_S) or self._failure is not None:
                return
        if told:
            log.info("going on, the root is well")
        self._announcer.troubles.ended(ROOT)
        self._announcer.set_state(services.ACTIVE)
        self._reach_broker()

    def _is_idle(self) -> bool:
        return not any(slot.load for slot in self._slots)

    def _reach_broker(self, *, at_start: bool = False) -> None:
        """Connect; a broker that is away is waited for."""
        delay = RECONNECT_S
        while not self._stop.is_set():
            try:
                self._connect()
            except TransientError as error:
                if at_start and isinstance(error, RefusedError):
                    raise
                log.warning("broker away, waiting for it", reason=str(error), next_try_s=delay)
                self._announcer.troubles.began(BROKER, str(error))
                self._stop.wait(delay)
                delay = min(delay * 2, RECONNECT_MOST_S)
            else:
                self._announcer.troubles.ended(BROKER)
                return

    def _leave(self) -> None:
        log.info("finishing running work")
        for slot in self._slots:
            slot.leave()
        while any(slot.thread.is_alive() for slot in self._slots):
            # What is received now is not begun: it goes back with the connection.
            try:
                self._broker.serve(0.05)
            except TransientError:
                time.sleep(0.05)  # the event to wait on is set; without a pause this would spin
        self._broker.close()
