"""RabbitMQ by pika: quorum queues, publisher confirms, dead letters. Works from 3.10 (Debian's) to 4.x."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pika
from pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from services.engine.broker.amqp import Answer, Sender, ServedChannel, ServedConnection, fail, succeed
from services.engine.broker.broker_protocol import Deliver, Delivery, RefusedError
from services.engine.broker.message import Message, dead_letter_queue
from services.errors import ConfigurationError, DataError, TransientError
from services.log import get_logger

HEARTBEAT_S = 60
CONNECT_TIMEOUT_S = 5
DELIVERY_LIMIT = 20  # a message that came back so often is a poison message
REFUSALS = (403, 530)  # access refused, not allowed
DROPPED_AT_ONCE = 10_000  # dead letters: a count that AMQP's prefetch can hold
EVENTS_KEPT = 10_000  # a manager that was away needs no more: its first sweep finds the rest

Result = TypeVar("Result")
log = get_logger("broker")


def _refuses(error: BaseException) -> bool:
    """Whether the broker knows no such user, password or virtual host."""
    if isinstance(error, ConnectionClosedByBroker):
        return error.reply_code in REFUSALS
    return isinstance(error, AuthenticationError | ProbableAuthenticationError | ProbableAccessDeniedError)


class RabbitBroker:
    """Two AMQP connections, which end together.

    What is received and asked goes on while the broker reads nothing from the one that publishes.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._where = f"RabbitMQ at {parts.hostname}:{parts.port or 5672}"
        try:
            parameters = pika.URLParameters(url)
            (parts.hostname or "").encode("idna")  # as connecting will
        except (ValueError, TypeError, OSError):  # their text may hold a part of the password
            names = [] if "@" in parts.query else sorted(parse_qs(parts.query))
            behind = f"; look at {', '.join(map(repr, names))} behind its ?" if names else ""
            raise ConfigurationError(
                f"TIANYU_BROKER_URL cannot be read: expected amqp://USER:PASSWORD@HOST:PORT/VHOST{behind}"
            ) from None
        parameters.heartbeat = HEARTBEAT_S
        parameters.socket_timeout = CONNECT_TIMEOUT_S
        self._told = 0
        self._ended = threading.Event()
        self._news = threading.Condition()
        self._end: BaseException | None = None  # of the connection that ended first
        self._connections: list[ServedConnection] = []
        self._connection, self._publishing = self._open(parameters), self._open(parameters)
        self._receiver = self._guard(lambda: ServedChannel(self._connection))
        self._events = self._guard(lambda: ServedChannel(self._connection))
        self._teller = self._guard(lambda: ServedChannel(self._publishing))
        self._senders: dict[str, Sender] = {}

    def _open(self, parameters: pika.URLParameters) -> ServedConnection:
        connection = self._guard(lambda: ServedConnection(parameters, self._on_end))
        self._connections.append(connection)
        return connection

    def _on_end(self, error: BaseException) -> None:
        self._end = self._end or error
        for connection in self._connections:
            connection.leave()
        self._ended.set()
        with self._news:
            self._news.notify_all()

    def _guard(self, call: Callable[[], Result]) -> Result:
        """Run a call of pika; whatever ends a connection is a transient error that names the broker."""
        try:
            return call()
        except (AMQPError, OSError) as error:
            raise self._lost(error) from error

    def _lost(self, error: BaseException) -> TransientError:
        reason = str(error) or type(error).__name__
        kind = RefusedError if _refuses(error) else TransientError
        return kind(f"{self._where} cannot be used: {reason}; is it running, are user and vhost right?")

    def _require(self) -> None:
        if self._end is not None:
            raise self._lost(self._end)

    def declare(self, queue: str) -> None:
        """Make the quorum queue and its dead-letter queue."""
        dead = dead_letter_queue(queue)
        work = {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        }
        self._declare(dead, {"x-queue-type": "quorum"})
        self._declare(queue, work)

    def declare_events(self, queue: str) -> None:
        """Make the bounded queue of events."""
        self._declare(queue, {"x-queue-type": "classic", "x-max-length": EVENTS_KEPT})

    def _declare(self, queue: str, arguments: dict[str, Any]) -> None:
        def declare(channel: Any, answer: Answer) -> None:
            channel.queue_declare(queue, durable=True, arguments=arguments, callback=answer)

        try:
            self._events.ask(declare)
        except ChannelClosedByBroker as error:
            raise ConfigurationError(
                f"queue {queue!r} exists on {self._where} with other properties ({error.reply_text}): "
                "delete it there and start again; its work is sent again from the database"
            ) from error
        except (AMQPError, OSError) as error:
            raise self._lost(error) from error

    def replace(self, queue: str) -> None:
        """Delete it by force, if it has no leader, and make it anew."""

        def delete(channel: Any, answer: Answer) -> None:
            channel.queue_delete(queue, callback=answer)

        self._guard(lambda: self._events.ask(delete))
        self.declare(queue)

    def send(self, queue: str, messages: Sequence[Message]) -> "Future[None]":
        """Publish persistent messages; done with their confirms."""
        sent: Future[None] = Future()

        def settle(batch: "Future[None]") -> None:
            error = batch.exception()
            if error is None:
                succeed(sent, None)
            else:
                fail(sent, TransientError(f"{self._where} did not take the messages for {queue!r}: {error}"))

        sender = self._senders.setdefault(queue, Sender(self._publishing, queue))
        sender.send([message.encode() for message in messages]).add_done_callback(settle)
        return sent

    @property
    def blocked(self) -> str:
        """Its own reason."""
        return self._publishing.blocked

    def subscribe(self, queues: Sequence[str], prefetch: int, deliver: Deliver, consumer: str = "") -> None:  # noqa: ARG002
        """Start consuming; messages are handed over by the thread that serves the connection."""
        self._set_prefetch(prefetch)
        for queue in queues:
            self._consume(self._receiver, queue, self._on_message(queue, deliver))

    def _set_prefetch(self, count: int) -> None:
        def set_prefetch(channel: Any, answer: Answer) -> None:
            channel.basic_qos(prefetch_count=count, global_qos=False, callback=answer)

        self._guard(lambda: self._receiver.ask(set_prefetch))

    def _consume(self, channel: ServedChannel, queue: str, receive: Callable[..., None], **options: Any) -> None:
        def consume(raw: Any, answer: Answer) -> None:
            raw.basic_consume(queue, receive, callback=answer, **options)

        self._guard(lambda: channel.ask(consume))

    def _on_message(self, queue: str, deliver: Deliver) -> Callable[[Any, Any, Any, bytes], None]:
        def receive(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            try:
                message = Message.decode(body)
            except DataError as error:
                log.error("message refused", queue=queue, reason=str(error))
                channel.basic_reject(method.delivery_tag, requeue=False)
            else:
                deliver(Delivery(queue, message, method.delivery_tag, self._connection))

        return receive

    def serve(self, timeout_s: float) -> None:
        """Wait: a thread of its own serves the connection."""
        self._ended.wait(timeout_s)
        self._require()

    def listen(self, events: str) -> None:
        """Start consuming, without acknowledgements."""

        def hear(*_message: Any) -> None:
            with self._news:
                self._told += 1
                self._news.notify_all()

        self._consume(self._events, events, hear, auto_ack=True)

    def wait_for_events(self, timeout_s: float) -> int:
        """Wait until something was told."""
        with self._news:
            self._news.wait_for(lambda: self._told or self._end is not None, timeout_s)
            told, self._told = self._told, 0
        if not told:
            self._require()
        return told

    def settle(self, delivery: Delivery, *, accepted: bool = True) -> None:
        """Acknowledge or dead-letter, by the thread that serves the connection."""
        receiver = self._receiver.raw

        def reply() -> None:
            if not receiver.is_open or delivery.connection is not self._connection:
                return
            if accepted:
                receiver.basic_ack(delivery.tag)
            else:
                receiver.basic_reject(delivery.tag, requeue=False)

        self._connection.post(reply)

    def tell(self, events: str, message: Message) -> None:
        """Publish, by the thread that serves the connection; not while that would only pile up."""
        channel = self._teller.raw

        def publish() -> None:
            if channel.is_open and not self._publishing.blocked:
                channel.basic_publish("", events, message.encode())

        self._publishing.post(publish)

    def depth(self, queue: str) -> int:
        """Ready messages, as the broker counts them."""

        def look(channel: Any, answer: Answer) -> None:
            channel.queue_declare(queue, passive=True, callback=answer)

        return int(self._guard(lambda: self._events.ask(look)).method.message_count)

    def dead_letters(self, queue: str, most: int) -> int:
        """Counted by the broker; the excess is received and settled, which is not waited for."""
        dead = dead_letter_queue(queue)
        count = self.depth(dead)
        excess = left = min(count - most, DROPPED_AT_ONCE)

        def drop(channel: Any, method: Any, *_message: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:  # nothing more comes before the acknowledgement, nor after the cancellation
                channel.basic_cancel(method.consumer_tag)
                channel.basic_ack(method.delivery_tag, multiple=True)

        if excess > 0:
            self._set_prefetch(excess)
            self._consume(self._receiver, dead, drop)
        return count

    def close(self) -> None:
        """Serve what is still to be sent, then close."""
        for connection in self._connections:
            connection.close()
