"""What manager and consumers need of a broker."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from services.engine.broker.message import Message
from services.errors import TransientError


class RefusedError(TransientError):
    """The broker was reached, and does not let this user in."""


@dataclass(frozen=True)
class Delivery:
    """A message on loan: it comes back to the queue unless it is settled before its receiver's end."""

    queue: str
    message: Message
    tag: int = 0  # the implementation's own, on the connection
    connection: object = None  # that it came by, where tags mean nothing on another


Deliver = Callable[[Delivery], None]  # returns at once and raises nothing


class Broker(Protocol):
    """One connection, used by one thread; only ``settle`` and ``tell`` may be called from others.

    All raise ``TransientError`` when the broker cannot be reached; the caller connects again.
    """

    def declare(self, queue: str) -> None:
        """Make a durable work queue with its dead-letter queue; harmless when it exists."""

    def declare_events(self, queue: str) -> None:
        """Make a queue of events: bounded, and cheap to lose."""

    def replace(self, queue: str) -> None:
        """Delete a work queue with all that is in it, and make it anew.

        Who was connected must connect again, sender and receivers: the broker does not tell all of them.
        """

    def send(self, queue: str, messages: Sequence[Message]) -> "Future[None]":
        """Send; done when the broker has taken responsibility for every message, else failed by a TransientError.

        A queue may never answer, while others do. What is sent to it meanwhile takes the place of the earlier, of which
        nothing is told any more.
        """

    @property
    def blocked(self) -> str:
        """Why the broker takes no messages from anybody (its memory, its disk); empty while it does."""

    def subscribe(self, queues: Sequence[str], prefetch: int, deliver: Deliver, consumer: str = "") -> None:
        """Receive from these queues, at most ``prefetch`` unsettled messages at a time.

        ``deliver`` is called with each, by whatever thread has it first: a hand-over to another would cost as much as
        the message. A queue that can tell hands over nothing that ``consumer`` may not claim.
        """

    def serve(self, timeout_s: float) -> None:
        """Keep the connection alive, and messages coming, for ``timeout_s``."""

    def settle(self, delivery: Delivery, *, accepted: bool = True) -> None:
        """Finish a delivery: it is taken, or (not accepted) it goes to the dead-letter queue, if there is one.
        Thread-safe.

        A delivery of a connection that is gone is left alone: the broker has given it to somebody else.
        """

    def tell(self, events: str, message: Message) -> None:
        """Let a queue of events hear of the end of a process, without waiting. Thread-safe.

        An event that is lost costs a sweep's delay, no more.
        """

    def listen(self, events: str) -> None:
        """Hear a queue of events."""

    def wait_for_events(self, timeout_s: float) -> int:
        """Wait until something was told in the queues that are listened to; how many events (0: ``timeout_s`` is over).

        They say only that there is something to look for, so that all that came together count as one.
        """

    def depth(self, queue: str) -> int:
        """Messages in the queue that nobody has received."""

    def dead_letters(self, queue: str, most: int) -> int:
        """How many messages of a work queue were put aside; of more than ``most`` the oldest are dropped."""

    def close(self) -> None:
        """Leave; unsettled messages go back to their queues."""
