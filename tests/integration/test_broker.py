"""The contract of the broker, on both implementations."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.broker import Broker, Message, connect, dead_letter_queue, event_queue, work_queue
from services.errors import ConfigurationError, DataError, TransientError

Connect = Callable[[], Broker]
PATIENCE_S = 10.0


@pytest.fixture(params=["local", pytest.param("rabbitmq", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest) -> str:
    return "local://" if request.param == "local" else request.getfixturevalue("broker_url")


@pytest.fixture
def open_broker(url: str, tmp_path: Path) -> Iterator[Connect]:
    opened: list[Broker] = []

    def open_one() -> Broker:
        opened.append(connect(url, tmp_path))
        return opened[-1]

    yield open_one
    for broker in opened:
        broker.close()


@pytest.fixture
def queue(unique_site: str) -> str:
    return work_queue(unique_site, "cpu")


def receive(broker: Broker) -> Message:
    delivery = broker.receive(PATIENCE_S)
    assert delivery is not None
    broker.settle(delivery)
    return delivery.message


def depth_becomes(broker: Broker, queue: str, expected: int) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while broker.depth(queue) != expected and time.monotonic() < deadline:
        broker.receive(0.05)
    return broker.depth(queue) == expected


def test_messages_arrive_in_order_and_once(open_broker: Connect, queue: str) -> None:
    sender, receiver = open_broker(), open_broker()
    sender.declare(queue)
    sender.declare(queue)  # harmless
    messages = [Message(1_795_238_400_000_123_456 + n, 1) for n in range(50)]
    sender.send(queue, messages)
    assert sender.depth(queue) == 50
    receiver.subscribe([queue], prefetch=1)
    assert [receive(receiver) for _ in messages] == messages
    assert receiver.receive(0.1) is None


def test_prefetch_bounds_what_is_out(open_broker: Connect, queue: str) -> None:
    broker = open_broker()
    broker.declare(queue)
    broker.send(queue, [Message(n, 1) for n in range(3)])
    broker.subscribe([queue], prefetch=2)
    first, second = broker.receive(PATIENCE_S), broker.receive(PATIENCE_S)
    assert first is not None
    assert second is not None
    assert broker.receive(0.3) is None
    broker.settle(first)
    third = broker.receive(PATIENCE_S)
    assert third is not None
    assert third.message.pid == 2


def test_unsettled_messages_come_back_when_a_receiver_closes(open_broker: Connect, queue: str) -> None:
    first, second = open_broker(), open_broker()
    first.declare(queue)
    first.send(queue, [Message(7, 1)])
    first.subscribe([queue], prefetch=1)
    assert first.receive(PATIENCE_S) is not None
    first.close()
    second.subscribe([queue], prefetch=1)
    assert receive(second) == Message(7, 1)


def _take_and_hang(url: str, root: Path, queue: str, taken: "multiprocessing.synchronize.Event") -> None:
    broker = connect(url, root)
    broker.subscribe([queue], prefetch=1)
    assert broker.receive(PATIENCE_S) is not None
    taken.set()
    time.sleep(600)


def test_unsettled_messages_come_back_when_a_receiver_is_killed(
    open_broker: Connect, url: str, tmp_path: Path, queue: str
) -> None:
    broker = open_broker()
    broker.declare(queue)
    broker.send(queue, [Message(7, 1)])
    context = multiprocessing.get_context("spawn")
    taken = context.Event()
    victim = context.Process(target=_take_and_hang, args=(url, tmp_path, queue, taken))
    victim.start()
    assert taken.wait(30)
    victim.kill()
    victim.join()
    broker.subscribe([queue], prefetch=1)
    assert receive(broker) == Message(7, 1)


def test_refused_messages_go_to_the_dead_letter_queue(open_broker: Connect, queue: str) -> None:
    broker = open_broker()
    broker.declare(queue)
    broker.send(queue, [Message(7, 1)])
    broker.subscribe([queue], prefetch=1)
    delivery = broker.receive(PATIENCE_S)
    assert delivery is not None
    broker.settle(delivery, accepted=False)
    assert depth_becomes(broker, dead_letter_queue(queue), 1)
    assert broker.depth(queue) == 0


def test_settle_and_notify_from_another_thread(open_broker: Connect, queue: str, unique_site: str) -> None:
    broker, listener = open_broker(), open_broker()
    events = event_queue(unique_site)
    broker.declare(queue)
    broker.declare_events(events)
    listener.subscribe([events], prefetch=10)
    broker.send(queue, [Message(1, 1), Message(2, 1)])
    broker.subscribe([queue], prefetch=1)
    delivery = broker.receive(PATIENCE_S)
    assert delivery is not None

    def finish() -> None:
        broker.notify(events, delivery.message)
        broker.settle(delivery)

    thread = threading.Thread(target=finish)
    thread.start()
    following = broker.receive(PATIENCE_S)
    thread.join()
    assert following is not None
    assert following.message == Message(2, 1)
    assert receive(listener) == Message(1, 1)


def test_two_receivers_share_the_work(open_broker: Connect, queue: str) -> None:
    sender, one, two = open_broker(), open_broker(), open_broker()
    sender.declare(queue)
    for broker in (one, two):
        broker.subscribe([queue], prefetch=1)
    sender.send(queue, [Message(n, 1) for n in range(2)])
    held = {broker.receive(PATIENCE_S).message.pid for broker in (one, two)}  # type: ignore[union-attr]
    assert held == {0, 1}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"pid": 1}', b'{"pid": "1", "attempt": 1}', b'{"pid":1,"attempt":1,"x":1}', b"\x80\x04K."]
)
def test_a_message_is_a_pid_and_an_attempt_and_nothing_else(body: bytes) -> None:
    with pytest.raises(DataError, match="not a PID and an attempt"):
        Message.decode(body)


def test_message_round_trip() -> None:
    message = Message(9_223_372_036_854_775_807, 3)
    assert Message.decode(message.encode()) == message


def test_unknown_scheme_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected amqp://"):
        connect("redis://localhost", tmp_path)


def test_a_broker_that_is_down_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1 cannot be used") as caught:
        connect("amqp://user:secret@127.0.0.1:1/", tmp_path)
    assert "secret" not in str(caught.value)
