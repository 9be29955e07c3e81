"""A slot: one thread of a consumer that takes deliveries through claim, work and settling."""

import os
import random
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from schema import database
from schema.attempts import Claim, Failure, Usage
from schema.processes import FAILED, KILLED
from schema.queries import life
from services.broker import Broker, Delivery, event_queue
from services.consumer.child import Child
from services.consumer.limits import Limits, Watch
from services.consumer.report import SAVING, Report
from services.errors import TransientError
from services.log import get_logger
from services.presence import HOST, VERSION
from services.settings import Settings

Result = TypeVar("Result")
log = get_logger("consumer")
DATABASE_RETRY_S = 1.0
RENEWALS_A_LEASE = 3
SHORT_S = 0.01  # of a step; a quorum queue needs 2 ms and more from a settled message to the next one
LAST_WORD_S = 0.5  # for the worker of a lost lease


def backoff(settings: Settings, attempt: int) -> float:
    """Seconds before the next attempt: doubled each time, with jitter so that a herd does not come back at once."""
    longest = min(settings.backoff_s * 2.0 ** (attempt - 1), settings.backoff_max_s)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret hangs on it


@dataclass
class Held:
    """A process that this slot has claimed, and the message that told of it."""

    claim: Claim
    delivery: Delivery
    renew_at: float
    settled: bool = False  # its message
    saving: bool = False  # its outputs are being committed
    began: float = 0.0


class Slot(threading.Thread):
    """Works on deliveries, one after the other.

    While the worker commits what one process made, the next is claimed and waits in the pipe: two processes are held
    then, and never while a step still works, for another consumer may be free. From the claim on a process is the
    lease's affair, and its message can go; but the broker then sends another. So it is settled when the step is done,
    or at once where steps of its kind are done before the broker could answer.
    """

    def __init__(self, name: str, settings: Settings, broker: Callable[[], Broker], child: Child) -> None:
        super().__init__(name=name, daemon=True)
        self._inbox: deque[Delivery] = deque()
        self._given = self._done = 0  # deliveries; each is counted by one thread
        self._held: deque[Held] = deque()  # the first is in work, a second waits for it to be committed
        self._settings = settings
        self._renewal_s = settings.lease_s / RENEWALS_A_LEASE
        self._broker = broker  # asked each time: the main thread may have connected anew
        self._sessions = database.KeptConnection(database.connect(settings.database_url.get_secret_value()))
        self._child = child
        self._watch = Watch(Limits(None, None))
        self._lasted: dict[str, float] = {}  # seconds that the last step of each command took
        self._leaving = threading.Event()
        self._called, self._call = os.pipe()
        os.set_blocking(self._call, False)

    @property
    def load(self) -> int:
        """Deliveries given and not yet settled."""
        return self._given - self._done

    def give(self, delivery: Delivery) -> None:
        """Take on a delivery; called by one thread at a time."""
        self._given += 1
        self._inbox.append(delivery)
        self._wake()

    def leave(self) -> None:
        """Finish what runs, then end; a database that is away is not waited for."""
        self._leaving.set()
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full: it is awake
            os.write(self._call, b".")

    def run(self) -> None:
        """Work until told to leave; what has not begun then goes back to the queue with the connection."""
        while self._held or not self._leaving.is_set():
            self._take()
            said = self._wait()
            if self._held:
                self._attend(said)

    def _take(self) -> None:
        """Claim what was given, as long as the worker has no step before it."""
        while self._inbox and not self._leaving.is_set() and (not self._held or self._about_to_be_free()):
            delivery = self._inbox.popleft()
            message = delivery.message
            if any((message.pid, message.attempt) == (held.claim.pid, held.claim.attempt) for held in self._held):
                self._settle_message(delivery)  # its own claim again would be given to it
                continue
            claim = self._persist(partial(self._claim, message.pid, message.attempt))
            if claim is not None:
                self._hold(claim, delivery)
            elif not self._leaving.is_set():
                self._settle_message(delivery)  # a duplicate

    def _claim(self, pid: int, attempt: int) -> Claim | None:
        return database.transact(
            self._sessions,
            lambda connection: life.claim(
                connection,
                pid,
                attempt,
                worker=self.name,
                host=HOST,
                version=VERSION,
                lease_s=self._settings.lease_s,
                last=True,
            ),
        )

    def _about_to_be_free(self) -> bool:
        return len(self._held) == 1 and self._held[0].saving

    def _hold(self, claim: Claim, delivery: Delivery) -> None:
        self._held.append(Held(claim, delivery, time.monotonic() + self._renewal_s))
        if len(self._held) == 1:
            self._begin()
        else:
            self._child.submit_next(claim)

    def _begin(self) -> None:
        """The first of those held is in work from now on."""
        held = self._held[0]
        claim, held.began = held.claim, time.monotonic()
        if self._lasted.get(claim.command, SHORT_S) < SHORT_S:
            self._settle(held)
        self._watch = Watch(Limits.of(self._settings, claim.command))
        if not self._child.has(claim):
            try:
                self._child.submit(claim)
            except TransientError as error:
                self._end(Report(Usage(seconds=0.0), Failure("transient", str(error))))

    def _wait(self) -> bool:
        """Until there is a delivery, the worker says something (True), or something is due."""
        if not self._held:
            ready = _readable(self._called)
        else:
            due = min(held.renew_at for held in self._held) - time.monotonic()
            ready = _readable(self._called, self._child.fileno(), timeout_s=self._watch.next_look_s(max(due, 0.0)))
        if self._called in ready:
            os.read(self._called, 4096)
        return bool(ready - {self._called})

    def _attend(self, said: bool) -> None:
        """To what the worker says, and to what must be done while it says nothing."""
        word = self._child.hear() if said else self._child.late()
        if isinstance(word, Report):
            self._end(word)
            return
        if word == SAVING:
            held = self._held[0]
            held.saving = True
            self._lasted[held.claim.command] = time.monotonic() - held.began
            self._settle(held)
        if not self._child.ready:
            self._watch.restart()
        excess = self._watch.exceeded(self._child.pid)
        if excess is not None:
            self._end(self._stopped(excess))
        elif not self._keep_leases():
            self._end(self._last_word())

    def _end(self, report: Report | None) -> None:
        """The first of those held has ended; None: its lease was lost, and with it whatever it made."""
        held = self._held.popleft()
        claim = held.claim
        bound = log.bind(pid=claim.pid, command=claim.command, attempt=claim.attempt)
        if report is None:
            bound.warning("lease lost, work dropped")
        elif report.failure is None:
            bound.debug("succeeded", seconds=round(report.usage.seconds, 3))
        else:
            bound.warning("failed", error_class=report.failure.error_class, reason=report.failure.message)
            self._record_failure(claim, report)
        self._settle(held)
        self._tell(held.delivery)
        if self._held:
            self._begin()

    def _last_word(self) -> Report | None:
        """Of a worker whose lease is lost: it may have committed in this very moment."""
        while _readable(self._child.fileno(), timeout_s=LAST_WORD_S):
            word = self._child.hear()
            if isinstance(word, Report):
                return word
        self._child.kill()
        return None

    def _keep_leases(self) -> bool:
        """Renew those that are due; False when that of the process in work was lost."""
        for held in self._held:
            if time.monotonic() >= held.renew_at:
                held.renew_at = time.monotonic() + self._renewal_s
                if not self._renew(held.claim) and held is self._held[0]:
                    return False
        return True

    def _renew(self, claim: Claim) -> bool:
        """False when the lease was lost; a database that is away will tell later."""
        try:
            return database.transact(
                self._sessions,
                lambda connection: life.renew(connection, claim.pid, claim.attempt, self._settings.lease_s, last=True),
            )
        except DBAPIError as error:
            log.warning("lease not renewed, database away", pid=claim.pid, reason=str(error.orig))
            return True

    def _stopped(self, excess: str) -> Report:
        """End the worker, and with it the attempt in work."""
        self._child.kill()
        self._child.start()  # the next claim should not wait for its imports
        claim = self._held[0].claim
        reason = f"process {claim.pid} ({claim.command}) was ended: {excess}"
        return Report(Usage(seconds=0.0), Failure("transient", reason), killed=True)

    def _record_failure(self, claim: Claim, report: Report) -> None:
        """Note the end of the attempt; a process that ended its worker time and again is not tried any more."""
        assert report.failure is not None
        failure = report.failure

        def record(connection: Connection) -> bool:
            verdict = failure
            deaths = life.worker_deaths(connection, claim.pid) if report.killed else []
            if report.killed and len(deaths) + 1 >= self._settings.poison_attempts:
                verdict = _poison(claim, [*deaths, f"attempt {claim.attempt}: {failure.message}"])
            again = verdict.error_class == TransientError.error_class and claim.attempt < claim.max_attempts
            return life.fail(
                connection,
                claim.pid,
                claim.attempt,
                verdict,
                retry_in_s=backoff(self._settings, claim.attempt) if again else None,
                usage=report.usage,
                outcome=KILLED if report.killed else FAILED,
            )

        self._persist(lambda: database.transact(self._sessions, record))

    def _persist(self, work: Callable[[], Result]) -> Result | None:
        """Try until the database answers; a slot without its database has nothing better to do."""
        while True:
            try:
                return work()
            except DBAPIError as error:
                log.warning("database does not answer, trying again", reason=str(error.orig))
                if self._leaving.wait(DATABASE_RETRY_S):
                    return None

    def _settle(self, held: Held) -> None:
        if not held.settled:
            held.settled = True
            self._settle_message(held.delivery)

    def _settle_message(self, delivery: Delivery) -> None:
        self._done += 1  # first: what the broker sends for it should find this slot free
        self._ask_broker(lambda broker: broker.settle(delivery), delivery)

    def _tell(self, delivery: Delivery) -> None:
        events = event_queue(self._settings.site)
        self._ask_broker(lambda broker: broker.tell(events, delivery.message), delivery)

    def _ask_broker(self, work: Callable[[Broker], None], delivery: Delivery) -> None:
        try:
            work(self._broker())
        except TransientError as error:
            # It may be delivered again, and the claim will drop it; the manager's sweep finds what has ended.
            log.debug("broker not reached", pid=delivery.message.pid, reason=str(error))


def _readable(*files: int, timeout_s: float | None = None) -> set[int]:
    """File descriptors that have something to read, or have ended. (`select.select` takes no numbers above 1023.)"""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return {file for file, _ in poll.poll(None if timeout_s is None else ceil(1000 * timeout_s))}


def _poison(claim: Claim, deaths: list[str]) -> Failure:
    message = (
        f"process {claim.pid} ({claim.command}) ended its worker {len(deaths)} times and is not tried again "
        f"({'; '.join(deaths)}); look at `tianyu logs {claim.pid}`, mend the cause, then `tianyu retry {claim.pid}`"
    )
    return Failure("poison", message)
