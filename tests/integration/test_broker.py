"""The contract of the broker, on RabbitMQ. The other one, the process table, is in test_table_queue."""

import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import pika
import pytest

from services.engine.broker import Broker, Delivery, Message, connect, dead_letter_queue, event_queue, work_queue
from services.errors import ConfigurationError, DataError, TransientError

Connect = Callable[[], Broker]
PATIENCE_S = 10.0
NO_DATABASE = "sqlite://"  # RabbitMQ needs none


@pytest.fixture
def open_broker(broker_url: str) -> Iterator[Connect]:
    opened: list[Broker] = []

    def open_one() -> Broker:
        opened.append(connect(broker_url, NO_DATABASE))
        return opened[-1]

    yield open_one
    for broker in opened:
        broker.close()


@pytest.fixture
def queue(unique_site: str) -> str:
    return work_queue(unique_site, "cpu")


class Receiver:
    """Keeps what a broker hands over until it is asked for."""

    def __init__(self, broker: Broker, queue: str, prefetch: int = 1) -> None:
        self._broker = broker
        self._inbox: deque[Delivery] = deque()
        broker.subscribe([queue], prefetch, self._inbox.append)

    def receive(self, timeout_s: float = PATIENCE_S) -> Delivery | None:
        """The next delivery, or None when none comes in time."""
        deadline = time.monotonic() + timeout_s
        while not self._inbox and time.monotonic() < deadline:
            self._broker.serve(0.01)
        return self._inbox.popleft() if self._inbox else None

    def take(self) -> Message:
        """The next message, settled."""
        delivery = self.receive()
        assert delivery is not None
        self._broker.settle(delivery)
        return delivery.message


def send(broker: Broker, queue: str, messages: list[Message]) -> None:
    broker.send(queue, messages).result(PATIENCE_S)


def depth_becomes(broker: Broker, queue: str, expected: int) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while broker.depth(queue) != expected and time.monotonic() < deadline:
        broker.serve(0.05)
    return broker.depth(queue) == expected


def test_messages_arrive_in_order_and_once(open_broker: Connect, queue: str) -> None:
    sender, receiver = open_broker(), open_broker()
    sender.declare(queue)
    sender.declare(queue)  # harmless
    messages = [Message(1_795_238_400_000_123_456 + n, 1) for n in range(50)]
    send(sender, queue, messages)
    assert sender.depth(queue) == 50
    inbox = Receiver(receiver, queue)
    assert [inbox.take() for _ in messages] == messages
    assert inbox.receive(0.1) is None


def test_prefetch_bounds_what_is_out(open_broker: Connect, queue: str) -> None:
    broker = open_broker()
    broker.declare(queue)
    send(broker, queue, [Message(n, 1) for n in range(3)])
    inbox = Receiver(broker, queue, prefetch=2)
    first, second = inbox.receive(), inbox.receive()
    assert first is not None
    assert second is not None
    assert inbox.receive(0.3) is None
    broker.settle(first)
    third = inbox.receive()
    assert third is not None
    assert third.message.pid == 2


def test_unsettled_messages_come_back_when_a_receiver_closes(open_broker: Connect, queue: str) -> None:
    first, second = open_broker(), open_broker()
    first.declare(queue)
    send(first, queue, [Message(7, 1)])
    assert Receiver(first, queue).receive() is not None
    first.close()
    assert Receiver(second, queue).take() == Message(7, 1)


def _take_and_hang(url: str, queue: str, taken: "multiprocessing.synchronize.Event") -> None:
    broker = connect(url, NO_DATABASE)
    assert Receiver(broker, queue).receive() is not None
    taken.set()
    time.sleep(600)


def test_unsettled_messages_come_back_when_a_receiver_is_killed(
    open_broker: Connect, broker_url: str, queue: str
) -> None:
    broker = open_broker()
    broker.declare(queue)
    send(broker, queue, [Message(7, 1)])
    context = multiprocessing.get_context("spawn")
    taken = context.Event()
    victim = context.Process(target=_take_and_hang, args=(broker_url, queue, taken))
    victim.start()
    assert taken.wait(30)
    victim.kill()
    victim.join()
    assert Receiver(broker, queue).take() == Message(7, 1)


def test_a_message_that_nobody_can_read_goes_there_at_once(open_broker: Connect, broker_url: str, queue: str) -> None:
    broker = open_broker()
    broker.declare(queue)
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    connection.channel().basic_publish("", queue, b"[" * 100_000)
    connection.close()
    send(broker, queue, [Message(7, 1)])
    assert Receiver(broker, queue).take() == Message(7, 1)  # by the same connection
    assert depth_becomes(broker, dead_letter_queue(queue), 1)


def test_refused_messages_go_to_the_dead_letter_queue(open_broker: Connect, queue: str) -> None:
    broker = open_broker()
    broker.declare(queue)
    send(broker, queue, [Message(7, 1)])
    delivery = Receiver(broker, queue).receive()
    assert delivery is not None
    broker.settle(delivery, accepted=False)
    assert depth_becomes(broker, dead_letter_queue(queue), 1)
    assert broker.depth(queue) == 0


def test_dead_letters_are_counted_and_the_oldest_dropped(open_broker: Connect, queue: str) -> None:
    broker, dead = open_broker(), dead_letter_queue(queue)
    broker.declare(queue)
    assert broker.dead_letters(queue, 3) == 0
    send(broker, dead, [Message(n, 1) for n in range(5)])
    assert broker.dead_letters(queue, 5) == 5
    assert broker.dead_letters(queue, 3) == 5
    assert depth_becomes(broker, dead, 3)
    assert broker.dead_letters(queue, 3) == 3
    assert Receiver(open_broker(), dead).take() == Message(2, 1)


def test_settling_and_telling_from_another_thread(open_broker: Connect, queue: str, unique_site: str) -> None:
    broker, listener = open_broker(), open_broker()
    events = event_queue(unique_site)
    broker.declare(queue)
    broker.declare_events(events)
    listener.listen(events)
    assert listener.wait_for_events(0.0) == 0
    send(broker, queue, [Message(1, 1), Message(2, 1)])
    inbox = Receiver(broker, queue)
    delivery = inbox.receive()
    assert delivery is not None

    def settle_and_tell() -> None:
        broker.settle(delivery)
        broker.tell(events, delivery.message)

    thread = threading.Thread(target=settle_and_tell)
    thread.start()
    following = inbox.receive()
    thread.join()
    assert following is not None
    assert following.message == Message(2, 1)
    assert listener.wait_for_events(PATIENCE_S) == 1
    assert listener.wait_for_events(0.1) == 0


def test_many_messages_are_confirmed_together(open_broker: Connect, queue: str) -> None:
    sender = open_broker()
    sender.declare(queue)
    for batch in range(3):
        send(sender, queue, [Message(batch * 1000 + n, 1) for n in range(1000)])
    assert sender.depth(queue) == 3000
    send(sender, queue, [])
    assert sender.depth(queue) == 3000


def test_sending_to_a_queue_that_is_not_there_is_an_error(open_broker: Connect, queue: str) -> None:
    sender = open_broker()
    with pytest.raises(TransientError, match=queue):
        send(sender, queue, [Message(1, 1)])


def test_a_delivery_of_another_connection_is_left_alone(open_broker: Connect, queue: str) -> None:
    first, second = open_broker(), open_broker()
    first.declare(queue)
    send(first, queue, [Message(7, 1), Message(8, 1)])
    held = Receiver(first, queue).receive()
    inbox = Receiver(second, queue)
    following = inbox.receive()
    assert held is not None
    assert following is not None
    second.settle(held)  # as a worker does whose consumer has connected anew meanwhile
    first.close()
    second.settle(following)
    assert inbox.take() == held.message
    assert inbox.receive(0.2) is None


def test_a_deleted_queue_is_noticed(broker_url: str, queue: str) -> None:
    broker, vandal = connect(broker_url, NO_DATABASE), pika.BlockingConnection(pika.URLParameters(broker_url))
    broker.declare(queue)
    inbox = Receiver(broker, queue)
    vandal.channel().queue_delete(queue)
    with pytest.raises(TransientError, match="has been deleted"):
        inbox.receive()
    broker.close()
    vandal.close()


def test_a_queue_of_another_kind_is_an_error_of_configuration(broker_url: str, queue: str) -> None:
    broker, vandal = connect(broker_url, NO_DATABASE), pika.BlockingConnection(pika.URLParameters(broker_url))
    vandal.channel().queue_declare(queue, durable=True)
    with pytest.raises(ConfigurationError, match=r"exists on .* with other properties"):
        broker.declare(queue)
    broker.close()
    vandal.close()


def test_two_receivers_share_the_work(open_broker: Connect, queue: str) -> None:
    sender, one, two = open_broker(), open_broker(), open_broker()
    sender.declare(queue)
    inboxes = [Receiver(broker, queue) for broker in (one, two)]
    send(sender, queue, [Message(n, 1) for n in range(2)])
    held = {inbox.receive().message.pid for inbox in inboxes}  # type: ignore[union-attr]
    assert held == {0, 1}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b'{"pid": 1}', b'{"pid": "1", "attempt": 1}', b'{"pid":1,"attempt":1,"x":1}', b"\x80\x04K."),
        *(b"[" * 100_000, b'{"pid":' * 100_000),  # deeper than the parser goes
        *(b'{"pid": 9223372036854775808, "attempt": 1}', b'{"pid": 1, "attempt": -1}'),  # no database has these
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)
def test_a_message_is_a_pid_and_an_attempt_and_nothing_else(body: bytes) -> None:
    with pytest.raises(DataError, match="not a PID and an attempt"):
        Message.decode(body)


def test_message_round_trip() -> None:
    message = Message(9_223_372_036_854_775_807, 3)
    assert Message.decode(message.encode()) == message


def test_unknown_scheme_says_what_is_expected() -> None:
    with pytest.raises(ConfigurationError, match="expected amqp://"):
        connect("redis://localhost", NO_DATABASE)


def test_a_broker_that_is_down_is_named_without_its_password() -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1 cannot be used") as caught:
        connect("amqp://user:secret@127.0.0.1:1/", NO_DATABASE)
    assert "secret" not in str(caught.value)
