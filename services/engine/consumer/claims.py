"""A slot's claims in the database: take one, renew its lease, write down its failure."""

import random
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from schema import database
from schema.attempts import Claim, Failure
from schema.processes import FAILED, KILLED
from schema.queries import attempt_history, life, stragglers
from services.deployment import Deployment
from services.engine.broker import Delivery, Message, address_of
from services.engine.consumer.retry import decide
from services.engine.consumer.slot_actions import RecordFailure
from services.engine.consumer.slot_events import Claimed, Duplicate, Leave, Misdirected
from services.engine.presence import HOST, VERSION
from services.errors import ConfigurationError, SurroundingsError, database_denies
from services.log import context, facts_of, get_logger

Result = TypeVar("Result")
log = get_logger("consumer")
DATABASE_RETRY_S = 1.0


class Claims:
    """One connection, used by one thread. A database that is away is waited for until ``leaving`` is set."""

    def __init__(self, worker: str, deployment: Deployment, leaving: threading.Event) -> None:
        url = deployment.database_url.get_secret_value()
        self._sessions = database.KeptConnection(database.connect(url, database.SILENCE_S))
        self._worker = worker
        self._deployment = deployment
        self._leaving = leaving

    def take(self, delivery: Delivery) -> Claimed | Duplicate | Misdirected | Leave:
        """Claim the process of a message; nothing is claimed any more by who leaves."""
        if self._leaving.is_set():
            return Leave()
        message = delivery.message
        site, group = address_of(delivery.queue)
        claim = self._persist(
            life.claim(
                message.pid,
                message.attempt,
                site=site,
                group=group,
                worker=self._worker,
                host=HOST,
                version=VERSION,
                lease_s=self._deployment.lease_s,
            ).commit
        )
        if claim is not None:
            return Claimed(delivery, claim)
        if self._leaving.is_set():
            return Leave()
        address = self._persist(lambda connection: life.address(connection, message.pid))
        if address is None or address == (site, group):
            self.hand_on(message)  # where it is for another consumer than this, which is slow
            return Duplicate(delivery)
        log.warning(
            "message in the wrong queue, not taken",
            pid=message.pid,
            queue=delivery.queue,
            site_of_process=address[0],
            group_of_process=address[1],
        )
        return Misdirected(delivery)

    def hand_on(self, message: Message) -> None:
        """Have it sent again, for others; without the database it is found missing later."""
        try:
            database.transact(self._sessions, stragglers.hand_on(message.pid, message.attempt).commit)
        except DBAPIError as error:
            log.debug("message not handed on, database away", pid=message.pid, reason=str(error.orig))

    def renew(self, claim: Claim) -> bool:
        """False when the lease was lost; a database that is away will tell later."""
        try:
            renewal = life.renew(claim.pid, claim.attempt, self._deployment.lease_s)
            return database.transact(self._sessions, renewal.commit)
        except DBAPIError as error:
            log.warning("lease not renewed, database away", **facts_of(claim), reason=str(error.orig))
            return True

    def record_failure(self, failed: RecordFailure) -> None:
        """Write down the end of the attempt, and what comes after it."""
        claim = failed.claim

        def record(connection: Connection) -> bool:
            verdict = decide(
                claim,
                failed.failure,
                killed=failed.killed,
                earlier_deaths=attempt_history.worker_deaths(connection, claim.pid) if failed.killed else (),
                waited=_waited(connection, claim, failed.failure),
                rules=self._deployment,
                chance=random.random(),  # noqa: S311 - no secret hangs on it
            )
            held = (claim.pid, claim.attempt, verdict.failure)
            how: dict[str, Any] = {"usage": failed.usage, "outcome": KILLED if failed.killed else FAILED}
            ended = life.fail(*held, retry_in_s=verdict.retry_in_s, spared=verdict.spared, **how)
            return ended.commit(connection) or life.let_go(*held, **how).commit(connection)

        with context(**facts_of(claim)):
            self._persist(record)

    def _persist(self, work: Callable[[Connection], Result]) -> Result | None:
        """Try until the database answers; a slot without its database has nothing better to do.

        Raises:
            ConfigurationError: it answers that this user may not.
        """
        while True:
            try:
                return database.transact(self._sessions, work)
            except DBAPIError as error:
                if database.is_denied(error):
                    raise ConfigurationError(database_denies(error)) from error
                log.warning("database does not answer, trying again", reason=str(error.orig))
                if self._leaving.wait(DATABASE_RETRY_S):
                    return None


def _waited(connection: Connection, claim: Claim, failure: Failure) -> int:
    if failure.error_class != SurroundingsError.error_class:
        return 0
    return attempt_history.alike_in_a_row(connection, claim.pid, failure.error_class)
