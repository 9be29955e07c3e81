"""A slot: one thread of a consumer that takes one delivery at a time through claim, work and settling."""

import random
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database
from schema.processes import FAILED, KILLED
from schema.queries import life
from schema.queries.life import Claim, Failure
from services.broker import Broker, Delivery, event_queue
from services.consumer.child import Child
from services.consumer.limits import Limits, Watch
from services.consumer.report import Report
from services.errors import TransientError
from services.log import get_logger
from services.presence import HOST, VERSION
from services.settings import Settings

Result = TypeVar("Result")
log = get_logger("consumer")
DATABASE_RETRY_S = 1.0
RENEWALS_A_LEASE = 3


def backoff(settings: Settings, attempt: int) -> float:
    """Seconds before the next attempt: doubled each time, with jitter so that a herd does not come back at once."""
    longest = min(settings.backoff_s * 2.0 ** (attempt - 1), settings.backoff_max_s)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret hangs on it


class Slot(threading.Thread):
    """Works on the deliveries that the consumer's main thread gives it, one after the other."""

    def __init__(self, name: str, settings: Settings, broker: Callable[[], Broker]) -> None:
        super().__init__(name=name, daemon=True)
        self.load = 0  # deliveries given and not yet settled; a hint for the main thread
        self._inbox: SimpleQueue[Delivery | None] = SimpleQueue()
        self._settings = settings
        self._broker = broker  # asked each time: the main thread may have connected anew
        self._sessions = database.KeptConnection(database.connect(settings.database_url.get_secret_value()))
        self._child = Child(settings)
        self._child.start()
        self._leaving = threading.Event()

    def give(self, delivery: Delivery) -> None:
        """Take on a delivery."""
        self.load += 1
        self._inbox.put(delivery)

    def leave(self) -> None:
        """Finish what was given, then end; a database that is away is not waited for."""
        self._leaving.set()
        self._inbox.put(None)

    def run(self) -> None:
        """Work until told to leave."""
        while (delivery := self._inbox.get()) is not None:
            if not self._leaving.is_set():
                self._handle(delivery)  # what has not begun goes back to the queue with the connection
            self.load -= 1

    def end_worker(self) -> None:
        """End the worker process: what it did is committed, and what it may still do is fenced by its lease."""
        self._child.kill()

    def _handle(self, delivery: Delivery) -> None:
        message = delivery.message
        claim = self._persist(lambda: self._claim(message.pid, message.attempt))
        if claim is None:
            self._settle(delivery)
            return
        self._process(claim)
        self._settle(delivery, tell=event_queue(self._settings.site))

    def _claim(self, pid: int, attempt: int) -> Claim | None:
        return database.transact(
            self._sessions,
            lambda session: life.claim(
                session,
                pid,
                attempt,
                worker=self.name,
                host=HOST,
                version=VERSION,
                lease_s=self._settings.lease_s,
                last=True,
            ),
        )

    def _process(self, claim: Claim) -> None:
        bound = log.bind(pid=claim.pid, command=claim.command, attempt=claim.attempt)
        try:
            self._child.submit(claim)
            report = self._await(claim)
        except TransientError as error:
            report = Report(life.Usage(seconds=0.0), Failure("transient", str(error)))
        if report is None:
            bound.warning("lease lost, work dropped")
        elif report.failure is None:
            bound.debug("succeeded", seconds=round(report.usage.seconds, 3))
        else:
            bound.warning("failed", error_class=report.failure.error_class, reason=report.failure.message)
            self._record_failure(claim, report)

    def _await(self, claim: Claim) -> Report | None:
        """Renew the lease while the child works; None when the lease was lost and the child ended for it."""
        watch = Watch(Limits.of(self._settings, claim.command))
        renewal_s = self._settings.lease_s / RENEWALS_A_LEASE
        renew_at = time.monotonic() + renewal_s
        while True:
            report = self._child.wait(watch.next_look_s(max(renew_at - time.monotonic(), 0.0)))
            if report is not None:
                return report
            if not self._child.ready:
                watch.restart()
            excess = watch.exceeded(self._child.pid)
            if excess is not None:
                return self._end_attempt(claim, excess)
            if time.monotonic() < renew_at:
                continue
            renew_at = time.monotonic() + renewal_s
            if not self._renew(claim):
                # The child may have committed in this very moment: then its report is there.
                report = self._child.wait(0.5)
                if report is None:
                    self._child.kill()
                return report

    def _renew(self, claim: Claim) -> bool:
        """False when the lease was lost; a database that is away will tell later."""
        try:
            return database.transact(
                self._sessions,
                lambda session: life.renew(session, claim.pid, claim.attempt, self._settings.lease_s, last=True),
            )
        except DBAPIError as error:
            log.warning("lease not renewed, database away", pid=claim.pid, reason=str(error.orig))
            return True

    def _end_attempt(self, claim: Claim, excess: str) -> Report:
        self._child.kill()
        self._child.start()  # the next claim should not wait for its imports
        reason = f"process {claim.pid} ({claim.command}) was ended: {excess}"
        return Report(life.Usage(seconds=0.0), Failure("transient", reason), killed=True)

    def _record_failure(self, claim: Claim, report: Report) -> None:
        """Note the end of the attempt; a process that ended its worker time and again is not tried any more."""
        assert report.failure is not None
        failure = report.failure

        def record(session: Session) -> bool:
            verdict = failure
            deaths = life.worker_deaths(session, claim.pid) if report.killed else []
            if report.killed and len(deaths) + 1 >= self._settings.poison_attempts:
                verdict = _poison(claim, [*deaths, f"attempt {claim.attempt}: {failure.message}"])
            again = verdict.error_class == TransientError.error_class and claim.attempt < claim.max_attempts
            return life.fail(
                session,
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

    def _settle(self, delivery: Delivery, tell: str | None = None) -> None:
        try:
            self._broker().settle(delivery, tell=tell)
        except TransientError as error:
            # It will be delivered again, and the claim will drop it; the manager's sweep finds what has ended.
            log.debug("not settled", pid=delivery.message.pid, reason=str(error))


def _poison(claim: Claim, deaths: list[str]) -> Failure:
    message = (
        f"process {claim.pid} ({claim.command}) ended its worker {len(deaths)} times and is not tried again "
        f"({'; '.join(deaths)}); look at `tianyu logs {claim.pid}`, mend the cause, then `tianyu retry {claim.pid}`"
    )
    return Failure("poison", message)
