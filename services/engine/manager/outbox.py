"""Messages on their way into the broker's queues, a batch of each at a time: one that takes none holds up no other."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from schema.queries.scheduling import Ready
from services.engine.broker import PROBE, Broker, Message, work_queue

CONFIRM_S = 1.0  # that is waited for confirms; those that come later are found when they are there
BATCH = 200  # messages: RabbitMQ would hold up the whole connection behind 400 that a queue does not take
CONFIRMS_NOTHING = "it confirms no message"


@dataclass(frozen=True)
class _Batch:
    pids: Sequence[int]
    sent: "Future[None]"


@dataclass
class Silence:
    """A queue has taken nothing since then, by the monotonic clock."""

    since: float
    why: str = CONFIRMS_NOTHING

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return time.monotonic() - self.since


class Outbox:
    """What one connection to the broker sends; ``confirmed`` is called with the PIDs that a queue has taken."""

    def __init__(self, broker: Broker, confirmed: Callable[[Sequence[int]], None]) -> None:
        self._broker = broker
        self._confirmed = confirmed
        self._out: dict[str, _Batch] = {}
        self._silent: dict[str, Silence] = {}
        self._refused: set[str] = set()
        self._last_confirm = -float("inf")

    def takes(self, queue: str) -> bool:
        """Whether something can be sent to it now."""
        return queue not in self._out and queue not in self._refused

    def send(self, ready: Sequence[Ready]) -> None:
        """Send what queues take. The rest is left: it is queued in the database without a confirmed message."""
        by_queue: dict[str, list[Ready]] = defaultdict(list)
        for item in ready:
            by_queue[work_queue(item.site, item.group)].append(item)
        batches = {queue: _batches(items) for queue, items in by_queue.items()}
        while started := [
            self._start(queue, batch)
            for queue, rest in batches.items()
            if self.takes(queue) and (batch := next(rest, None)) is not None
        ]:
            wait(started, CONFIRM_S)
            self.collect()

    def probe(self, queue: str) -> None:
        """Send what means nothing, and see whether it is taken."""
        if self.takes(queue):
            self._post(queue, [], [PROBE])

    def _start(self, queue: str, items: Sequence[Ready]) -> "Future[None]":
        return self._post(queue, [item.pid for item in items], [Message(item.pid, item.attempt) for item in items])

    def _post(self, queue: str, pids: Sequence[int], messages: Sequence[Message]) -> "Future[None]":
        self._silent.setdefault(queue, Silence(time.monotonic()))
        self._out[queue] = _Batch(pids, self._broker.send(queue, messages))
        return self._out[queue].sent

    def collect(self) -> None:
        """Look which batches have been answered."""
        for queue, batch in [(queue, batch) for queue, batch in self._out.items() if batch.sent.done()]:
            del self._out[queue]
            error = batch.sent.exception()
            if error is not None:
                self._silent[queue].why = str(error)
                self._refused.add(queue)
                continue
            del self._silent[queue]
            self._last_confirm = time.monotonic()
            self._confirmed(batch.pids)

    @property
    def refused(self) -> frozenset[str]:
        """Queues that refused something, and get nothing before ``try_again``."""
        return frozenset(self._refused)

    def try_again(self) -> None:
        """Probe what refused; a queue that takes it gets work again."""
        refused, self._refused = self._refused, set()
        for queue in refused:
            self.probe(queue)
        wait([self._out[queue].sent for queue in refused], CONFIRM_S)
        self.collect()

    def silent(self, least_s: float) -> dict[str, Silence]:
        """Queues that have taken nothing of what was sent to them for so long."""
        return {queue: silence for queue, silence in self._silent.items() if silence.seconds >= least_s}

    def confirmed_within(self, seconds: float) -> bool:
        """Whether any queue has taken something lately: then the broker is not what is at fault."""
        return time.monotonic() - self._last_confirm <= seconds


def _batches(items: Sequence[Ready]) -> Iterator[Sequence[Ready]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
