"""A connection to RabbitMQ that a thread of its own serves, and channels on it.

pika's blocking connection takes a third of a millisecond each time that it looks for something to do, and waits for the
confirm of each message; its asynchronous one calls back as things come. Work is handed to the thread, answers come as
futures. A channel that the broker closes takes the connection with it: a user of it would otherwise wait for ever.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pika
from pika.exceptions import AMQPError, ConnectionClosed, ConnectionWrongStateError

ANSWER_TIMEOUT_S = 60.0
PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent, content_type="application/json")

Answer = Callable[[Any], None]


class ServedConnection:
    """Open from the start until ``close`` or a failure, of which ``on_end`` is told."""

    def __init__(self, parameters: pika.URLParameters, on_end: Callable[[], None]) -> None:
        self.end: BaseException | None = None
        self._on_end = on_end
        self._reason: BaseException | None = None
        self._waiting: set[Future[Any]] = set()
        opened: Future[Any] = Future()
        self._waiting.add(opened)
        self._connection = pika.SelectConnection(
            parameters,
            on_open_callback=opened.set_result,
            on_open_error_callback=lambda _connection, error: self._finish(_cause(error)),
            on_close_callback=lambda _connection, error: self._finish(error),
        )
        self._thread = threading.Thread(target=self._serve, name="amqp", daemon=True)
        self._thread.start()
        self._result(opened)

    def _serve(self) -> None:
        try:
            self._connection.ioloop.start()
        except (AMQPError, OSError) as error:
            self._finish(error)
        finally:
            self._finish(ConnectionWrongStateError("the connection is closed"))

    def _finish(self, error: BaseException) -> None:
        if self.end is not None:
            return
        self.end = error = self._reason or error
        for future in list(self._waiting):
            fail(future, error)
        self._connection.ioloop.stop()
        self._on_end()

    def give_up(self, reason: BaseException) -> None:
        """Close for a reason; called by the thread itself."""
        if self._connection.is_open:
            self._reason = reason
            self._connection.close()

    def post(self, work: Callable[[], None]) -> None:
        """Let the thread do ``work``, which raises nothing; without a connection it is not done."""
        with suppress(AMQPError, OSError):
            self._connection.ioloop.add_callback_threadsafe(work)

    def ask(self, work: Callable[[Any, Answer], None], future: "Future[Any] | None" = None) -> Any:
        """Let the thread call ``work(connection, answer)``; returns what ``answer`` is called with.

        Raises:
            AMQPError, OSError: it fails, or the connection or channel ends first.
        """
        answer: Future[Any] = future or Future()
        self._waiting.add(answer)

        def start() -> None:
            try:
                work(self._connection, lambda found: succeed(answer, found))
            except (AMQPError, OSError) as error:
                fail(answer, error)

        self.post(start)
        if self.end is not None:
            fail(answer, self.end)
        return self._result(answer)

    def _result(self, future: "Future[Any]") -> Any:
        try:
            return future.result(ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            raise ConnectionClosed(0, f"no answer within {ANSWER_TIMEOUT_S:.0f} s") from error
        finally:
            self._waiting.discard(future)

    def close(self) -> None:
        """End the connection and its thread, after what was posted before."""

        def leave() -> None:
            if self._connection.is_open:
                self._connection.close()
            else:
                self._connection.ioloop.stop()

        self.post(leave)
        self._thread.join(timeout=5.0)


class ServedChannel:
    """A channel whose requests can be waited for; one that the broker closes fails them with its reason."""

    def __init__(self, connection: ServedConnection) -> None:
        self._connection = connection
        self._asked: set[Future[Any]] = set()
        self.raw = connection.ask(lambda raw, answer: raw.channel(on_open_callback=answer))
        self.raw.add_on_close_callback(self._on_close)
        self.raw.add_on_cancel_callback(self._on_cancel)

    def _on_close(self, _channel: Any, error: BaseException) -> None:
        for future in list(self._asked):
            fail(future, error)
        self._connection.give_up(error)

    def _on_cancel(self, _frame: Any) -> None:
        self._connection.give_up(AMQPError("a queue that was listened to has been deleted"))

    def ask(self, work: Callable[[Any, Answer], None]) -> Any:
        """Let the thread call ``work(channel, answer)``; returns what ``answer`` is called with."""
        future: Future[Any] = Future()
        self._asked.add(future)
        try:
            return self._connection.ask(lambda _raw, answer: work(self.raw, answer), future)
        finally:
            self._asked.discard(future)


class ConfirmingChannel(ServedChannel):
    """A channel for sending: many messages under way at a time, and none unconfirmed at the end."""

    def __init__(self, connection: ServedConnection) -> None:
        super().__init__(connection)
        self._last_tag = 0
        self._unconfirmed: set[int] = set()
        self._batch: Future[Any] = Future()
        self.raw.add_on_return_callback(self._on_return)
        self.ask(lambda channel, answer: channel.confirm_delivery(self._on_confirm, callback=answer))

    def send(self, queue: str, bodies: Sequence[bytes]) -> None:
        """Send to ``queue``; returns when every message is confirmed.

        Raises:
            AMQPError, OSError: one is refused or cannot be routed, or the connection ends.
        """
        if not bodies:
            return
        self._batch = Future()

        def publish(channel: Any, _answer: Answer) -> None:
            for body in bodies:
                self._last_tag += 1
                self._unconfirmed.add(self._last_tag)
                channel.basic_publish("", queue, body, PERSISTENT, mandatory=True)

        self._asked.add(self._batch)
        try:
            self._connection.ask(lambda _raw, answer: publish(self.raw, answer), self._batch)
        finally:
            self._asked.discard(self._batch)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        if isinstance(method, pika.spec.Basic.Nack):
            fail(self._batch, AMQPError("a message was refused: is the disk or memory of the broker full?"))
        if method.multiple:
            self._unconfirmed = {tag for tag in self._unconfirmed if tag > method.delivery_tag}
        else:
            self._unconfirmed.discard(method.delivery_tag)
        if not self._unconfirmed:
            succeed(self._batch, None)

    def _on_return(self, _channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        fail(self._batch, AMQPError(f"no queue {method.routing_key!r} is there to take a message"))


def _cause(error: BaseException) -> BaseException:
    """What lies under pika's report of its attempts to connect."""
    while True:
        inner = getattr(error, "exception", None) or next(iter(reversed(getattr(error, "exceptions", ()))), None)
        inner = inner or next((one for one in error.args if isinstance(one, BaseException)), None)
        if inner is None:
            return error if isinstance(error, AMQPError | OSError) else AMQPError(str(error) or type(error).__name__)
        error = inner


def succeed(future: "Future[Any]", found: Any) -> None:
    """Answer, unless that is settled already."""
    if not future.done():
        future.set_result(found)


def fail(future: "Future[Any]", error: BaseException) -> None:
    """Fail, unless that is settled already."""
    if not future.done():
        future.set_exception(error)
