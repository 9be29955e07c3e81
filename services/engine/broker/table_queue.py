"""The broker of a machine without a broker: the process table itself is the queue.

A queued process is its own message. Nothing is sent, settled or told, and nothing can be lost or left over: a receiver
that dies leaves a row that is still queued, or a lease that runs out. Two receivers may be given the same process; the
claim, which every consumer has to win anyway, decides.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from sqlalchemy.exc import DBAPIError

from schema import database
from schema.prepared import Answer, Batch
from schema.queries import queueing
from services.engine.broker.broker_protocol import Deliver, Delivery
from services.engine.broker.message import Message, address_of, work_queue
from services.errors import ConfigurationError, TransientError, database_denies

TAKEN: "Future[None]" = Future()
TAKEN.set_result(None)
POLL_FIRST_S = 0.001
POLL_MOST_S = 0.02  # an idle process looks 50 times a second; into a file of SQLite only where somebody committed


class TableBroker:
    """Looks into the process table, less and less often while there is nothing."""

    def __init__(self, database_url: str) -> None:
        self._engine = database.connect(database_url).execution_options(**database.READ_ONLY)
        self._reading = database.KeptConnection(self._engine)
        self._lock = threading.RLock()  # one connection for the thread that serves and those that settle
        self._site = ""
        self._groups: tuple[str, ...] = ()
        self._consumer = ""
        self._prefetch = 1
        self._deliver: Deliver | None = None
        self._out: set[Message] = set()  # handed over and not settled
        self._nothing_at: object = None  # version of the database in which there was nothing to find

    def _ask(self, question: Batch[Answer]) -> Answer:
        with self._lock:
            try:
                return database.transact(self._reading, question.commit)
            except DBAPIError as error:
                if database.is_denied(error):
                    raise ConfigurationError(database_denies(error)) from error
                raise TransientError(f"the database does not tell what is queued: {error.orig}") from error

    def _find(self, look: Callable[[], bool]) -> bool:
        """Look, if the database is another than when there was nothing to find."""
        with self._lock:
            version = self._reading.version()
            if version == self._nothing_at:
                return False
            found = look()
            self._nothing_at = None if found else version
            return found

    def declare(self, queue: str) -> None:
        """Nothing to do: the table is there."""

    def declare_events(self, queue: str) -> None:
        """Nothing to do."""

    def replace(self, queue: str) -> None:
        """Nothing to do."""

    def send(self, queue: str, messages: Sequence[Message]) -> "Future[None]":  # noqa: ARG002
        """Nothing to do: these processes are queued already."""
        return TAKEN

    @property
    def blocked(self) -> str:
        """Never."""
        return ""

    def subscribe(self, queues: Sequence[str], prefetch: int, deliver: Deliver, consumer: str = "") -> None:
        """Receive from these queues, which are of one site."""
        addresses = [address_of(queue) for queue in queues]
        [self._site] = {site for site, _ in addresses}
        self._groups = tuple(group for _, group in addresses)
        self._prefetch, self._deliver, self._consumer = prefetch, deliver, consumer

    def serve(self, timeout_s: float) -> None:
        """Look for queued processes."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) >= 0:
            _poll(left, lambda: self._find(self._take))

    def _take(self) -> bool:
        """Hand over a process for which there is room."""
        with self._lock:
            if self._deliver is None or len(self._out) >= self._prefetch:
                return False
            most = len(self._out) + 1
            found = self._ask(queueing.queued(self._site, self._groups, self._consumer, most))
            for pid, attempt, group in found:
                message = Message(pid, attempt)
                if message not in self._out:
                    self._out.add(message)
                    self._deliver(Delivery(work_queue(self._site, group), message, connection=self))
                    return True
            return False

    def settle(self, delivery: Delivery, *, accepted: bool = True) -> None:  # noqa: ARG002 - there are no dead letters
        """There is room for another, which is looked for at once."""
        with self._lock:
            if delivery.connection is self:
                self._out.discard(delivery.message)
                self._nothing_at = None
                self._take()

    def tell(self, events: str, message: Message) -> None:
        """Nothing to do: the end stands in the table."""

    def listen(self, events: str) -> None:
        """Nothing to do: ends of all sites are looked for."""

    def wait_for_events(self, timeout_s: float) -> int:
        """Look for ends that nobody has counted."""
        return int(_poll(timeout_s, lambda: self._find(lambda: self._ask(queueing.has_ended()))))

    def depth(self, queue: str) -> int:
        """Processes that are queued and not yet claimed."""
        site, group = address_of(queue)
        return self._ask(queueing.count_queued(site, group))

    def dead_letters(self, queue: str, most: int) -> int:  # noqa: ARG002
        """None: nothing is put aside."""
        return 0

    def close(self) -> None:
        """Leave; what was handed over and not claimed is still queued."""
        with self._lock:
            self._deliver = None
            self._reading.close()
            self._engine.dispose()


def _poll(timeout_s: float, look: Callable[[], bool]) -> bool:
    """Look until it finds something or the time is over."""
    deadline = time.monotonic() + timeout_s
    pause = POLL_FIRST_S
    while True:
        found = look()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(min(pause, max(deadline - time.monotonic(), 0.0)))
        pause = min(pause * 1.5, POLL_MOST_S)
