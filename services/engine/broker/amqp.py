"""A connection to RabbitMQ that a thread of its own serves, and channels on it.

pika's blocking connection takes a third of a millisecond each time that it looks for something to do, and waits for the
confirm of each message; its asynchronous one calls back as things come. Work is handed to the thread, answers come as
futures. A channel that the broker closes takes the connection with it: a user of it would otherwise wait for ever.

A broker that is short of memory or disk stops reading from a connection that publishes, also what else comes by it.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pika
from pika.exceptions import AMQPError, ConnectionClosed, ConnectionWrongStateError

ANSWER_TIMEOUT_S = 20.0
PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent, content_type="application/json")

Answer = Callable[[Any], None]


class ServedConnection:
    """Open from the start until ``close`` or a failure, of which ``on_end`` is told."""

    def __init__(self, parameters: pika.URLParameters, on_end: Callable[[BaseException], None]) -> None:
        self.end: BaseException | None = None
        self.blocked = ""
        """Why the broker does not read what comes; empty while it does."""
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
        self._connection.add_on_connection_blocked_callback(lambda _, frame: self._set_blocked(frame.method.reason))
        self._connection.add_on_connection_unblocked_callback(lambda _, _frame: self._set_blocked(""))
        self._thread = threading.Thread(target=self._serve, name="amqp", daemon=True)
        self._thread.start()
        self._result(opened)

    def _set_blocked(self, reason: str) -> None:
        self.blocked = reason

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
        self._on_end(error)

    def give_up(self, reason: BaseException) -> None:
        """Close for a reason; called by the thread itself."""
        if self._connection.is_open:
            self._reason = reason
            self._connection.close()

    def post(self, work: Callable[[], None]) -> None:
        """Let the thread do ``work``, which raises nothing; without a connection it is not done."""
        with suppress(AMQPError, OSError):
            self._connection.ioloop.add_callback_threadsafe(work)

    def begin(self, work: Callable[[Any], None], answer: "Future[Any]") -> None:
        """Let the thread call ``work(connection)``; ``answer`` fails if that fails, or the connection ends first."""
        self._waiting.add(answer)
        answer.add_done_callback(self._waiting.discard)

        def start() -> None:
            try:
                work(self._connection)
            except (AMQPError, OSError) as error:
                fail(answer, error)

        self.post(start)
        if self.end is not None:
            fail(answer, self.end)

    def ask(self, work: Callable[[Any, Answer], None], future: "Future[Any] | None" = None) -> Any:
        """Let the thread call ``work(connection, answer)``; returns what ``answer`` is called with.

        Raises:
            AMQPError, OSError: it fails, or the connection or channel ends first.
        """
        answer: Future[Any] = future or Future()
        self.begin(lambda raw: work(raw, lambda found: succeed(answer, found)), answer)
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
        self.leave()
        self._thread.join(timeout=5.0)

    def leave(self) -> None:
        """Have the connection end, and do not wait for it."""

        def leave() -> None:
            if self._connection.is_open:
                self._connection.close()
            else:
                self._connection.ioloop.stop()

        self.post(leave)


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


class Sender:
    """A channel that sends to one queue, a batch at a time; nothing here waits, as a queue may never answer.

    One channel for several queues would not do: the broker stops reading from one that sent too much to a queue that
    does not answer.
    """

    def __init__(self, connection: ServedConnection, queue: str) -> None:
        self._connection = connection
        self._queue = queue
        self._channel: Any = None
        self._bodies: Sequence[bytes] = ()
        self._last_tag = 0
        self._unconfirmed: set[int] = set()
        self._batch: Future[Any] = Future()

    def send(self, bodies: Sequence[bytes]) -> "Future[Any]":
        """Send; done when every message is confirmed, failed when one is refused or cannot be routed.

        What of an earlier batch is not confirmed is not waited for any more.
        """
        batch: Future[Any] = Future()
        if not bodies:
            batch.set_result(None)
            return batch

        def start(raw: Any) -> None:
            self._batch, self._bodies = batch, bodies
            self._unconfirmed = set()
            if self._channel is None:
                raw.channel(on_open_callback=self._on_open)
            else:
                self._publish()

        self._connection.begin(start, batch)
        return batch

    def _on_open(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, error: self._connection.give_up(error))
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _frame: self._publish())

    def _publish(self) -> None:
        for body in self._bodies:
            self._last_tag += 1
            self._unconfirmed.add(self._last_tag)
            self._channel.basic_publish("", self._queue, body, PERSISTENT, mandatory=True)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        tag = method.delivery_tag
        told = {one for one in self._unconfirmed if one <= tag} if method.multiple else self._unconfirmed & {tag}
        if not told:
            return
        if isinstance(method, pika.spec.Basic.Nack):
            fail(self._batch, AMQPError("it refused a message: has the queue lost its leader, is a disk full?"))
        self._unconfirmed -= told
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
