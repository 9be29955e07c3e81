"""RabbitMQ by pika: quorum queues, publisher confirms, dead letters. Works from 3.10 (Debian's) to 4.x."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from services.broker.message import Message, dead_letter_queue
from services.broker.protocol import Delivery
from services.errors import ConfigurationError, DataError, TransientError
from services.log import get_logger

HEARTBEAT_S = 60
BLOCKED_TIMEOUT_S = 60
CONNECT_TIMEOUT_S = 5
DELIVERY_LIMIT = 20  # a message that came back so often is a poison message
EVENTS_KEPT = 10_000  # a manager that was away needs no more: its first sweep finds the rest

NO_ANSWER = {"AMQPConnectionError": "connection refused"}  # pika says nothing more of it

Result = TypeVar("Result")
log = get_logger("broker")


class RabbitBroker:
    """One AMQP connection with a channel for receiving and one for sending."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._where = f"RabbitMQ at {parts.hostname}:{parts.port or 5672}"
        try:
            parameters = pika.URLParameters(url)
        except (ValueError, TypeError):  # their text may hold a part of the password
            raise ConfigurationError(
                "the broker URL cannot be read: expected amqp://USER:PASSWORD@HOST:PORT/VHOST"
            ) from None
        parameters.heartbeat = HEARTBEAT_S
        parameters.blocked_connection_timeout = BLOCKED_TIMEOUT_S
        parameters.socket_timeout = CONNECT_TIMEOUT_S
        self._connection = self._guard(lambda: pika.BlockingConnection(parameters))
        self._receiver: BlockingChannel = self._guard(self._connection.channel)
        self._sender: BlockingChannel = self._guard(self._connection.channel)
        self._guard(self._sender.confirm_delivery)
        self._events: BlockingChannel = self._guard(self._connection.channel)
        self._received: deque[Delivery] = deque()

    def _guard(self, call: Callable[[], Result]) -> Result:
        """Run a call of pika; whatever ends a connection is a transient error that names the broker."""
        try:
            return call()
        except (AMQPError, OSError) as error:
            reason = str(error) or NO_ANSWER.get(type(error).__name__, type(error).__name__)
            raise TransientError(
                f"{self._where} cannot be used: {reason}; is it running, are user and vhost right?"
            ) from error

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
        try:
            self._sender.queue_declare(queue, durable=True, arguments=arguments)
        except ChannelClosedByBroker as error:
            raise ConfigurationError(
                f"queue {queue!r} exists on {self._where} with other properties ({error.reply_text}): "
                "delete it there and start again; its work is sent again from the database"
            ) from error
        except (AMQPError, OSError) as error:
            raise TransientError(f"{self._where} cannot be used: {error}") from error

    def send(self, queue: str, messages: Sequence[Message]) -> None:
        """Publish persistent messages; each call of pika waits for the confirm."""
        properties: Any = pika.BasicProperties(
            delivery_mode=pika.DeliveryMode.Persistent, content_type="application/json"
        )
        for message in messages:
            body = message.encode()
            self._guard(partial(self._sender.basic_publish, "", queue, body, properties, mandatory=True))

    def notify(self, queue: str, message: Message) -> None:
        """Publish an event from any thread, by the thread that serves the connection."""

        def publish() -> None:
            if self._events.is_open:
                self._events.basic_publish("", queue, message.encode())

        self._later(publish)

    def subscribe(self, queues: Sequence[str], prefetch: int) -> None:
        """Start consuming."""
        self._guard(lambda: self._receiver.basic_qos(prefetch_count=prefetch, global_qos=False))
        for queue in queues:
            self._guard(partial(self._receiver.basic_consume, queue, self._on_message(queue)))

    def _on_message(self, queue: str) -> Callable[[Any, Any, Any, bytes], None]:
        def receive(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            try:
                self._received.append(Delivery(queue, Message.decode(body), method.delivery_tag))
            except DataError as error:
                log.error("message refused", queue=queue, reason=str(error))
                channel.basic_reject(method.delivery_tag, requeue=False)

        return receive

    def receive(self, timeout_s: float) -> Delivery | None:
        """Serve the connection until a message is here."""
        deadline = time.monotonic() + timeout_s
        while not self._received:
            # It also returns when it has run somebody's reply.
            wait = max(deadline - time.monotonic(), 0.0)
            self._guard(partial(self._connection.process_data_events, time_limit=wait))
            if time.monotonic() >= deadline:
                break
        return self._received.popleft() if self._received else None

    def settle(self, delivery: Delivery, *, accepted: bool = True) -> None:
        """Acknowledge or dead-letter, by the thread that serves the connection."""

        def reply() -> None:
            if not self._receiver.is_open:
                return
            if accepted:
                self._receiver.basic_ack(delivery.tag)
            else:
                self._receiver.basic_reject(delivery.tag, requeue=False)

        self._later(reply)

    def _later(self, call: Callable[[], None]) -> None:
        try:
            self._connection.add_callback_threadsafe(call)
        except AMQPError:
            log.debug("connection is gone, reply dropped", broker=self._where)

    def depth(self, queue: str) -> int:
        """Ready messages, as the broker counts them."""
        declared = self._guard(lambda: self._sender.queue_declare(queue, passive=True))
        return int(declared.method.message_count)

    def close(self) -> None:
        """Serve what is still to be sent, then close."""
        try:
            if self._connection.is_open:
                self._connection.process_data_events(time_limit=0)
                self._connection.close()
        except (AMQPError, OSError):
            log.debug("connection was already gone", broker=self._where)
