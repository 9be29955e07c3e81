"""The process table as the queue, on every engine: the contract of a broker as far as it has one."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.attempts import Failure, Usage
from schema.processes import ProcessGroup, Site
from schema.queries import life, operating, publishing, queueing, scheduling, stragglers
from schema.queries.publishing import NewProcess
from services.engine.broker import Broker, Delivery, Message, connect, event_queue, work_queue
from services.errors import ConfigurationError
from tests.integration.test_process_life import plan_of

PATIENCE_S = 10.0
CPU, MEMORY = work_queue("here", "cpu"), work_queue("here", "memory")
USAGE = Usage(seconds=1.0, cpu_seconds=0.5, max_rss_bytes=1, read_bytes=2, write_bytes=3)


@pytest.fixture
def engine(each_ready_url: str) -> Iterator[Engine]:
    engine = database.connect(each_ready_url)
    with database.session_factory(engine).begin() as session:
        session.add_all([Site(name=name, root="/nowhere") for name in ("here", "there")])
        session.add_all([ProcessGroup(name=name) for name in ("cpu", "memory")])
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return database.session_factory(engine)


@pytest.fixture
def open_broker(each_ready_url: str, engine: Engine) -> Iterator[Callable[[], Broker]]:
    opened: list[Broker] = []

    def open_one() -> Broker:
        opened.append(connect("local://", each_ready_url))
        return opened[-1]

    yield open_one
    for broker in opened:
        broker.close()


class Inbox:
    """Keeps what a broker hands over until it is asked for."""

    def __init__(self, broker: Broker, *queues: str, prefetch: int = 1, consumer: str = "") -> None:
        self.broker = broker
        self._got: deque[Delivery] = deque()
        broker.subscribe(queues or (CPU,), prefetch, self._got.append, consumer)

    def receive(self, timeout_s: float = PATIENCE_S) -> Delivery | None:
        deadline = time.monotonic() + timeout_s
        while not self._got and time.monotonic() < deadline:
            self.broker.serve(0.01)
        return self._got.popleft() if self._got else None

    def pid(self) -> int | None:
        """Of a process that is there at once; it stays unsettled."""
        delivery = self.receive(0.05)
        return delivery and delivery.message.pid


def queue_up(
    sessions: sessionmaker[Session], *pids: int, group: str = "cpu", site: str = "here", priority: int = 0
) -> None:
    new = [
        NewProcess(
            pid=pid, graph_pid=1, command="check", parameters="{}", group=group, observation_id=None,
            required=(), optional=(), priority=priority,
        )
        for pid in pids
    ]  # fmt: skip
    with sessions.begin() as session:
        publishing.publish(session, new, site=site, choices_id=None)
    database.transact(sessions, scheduling.take_ready)


def claim(sessions: sessionmaker[Session], message: Message, worker: str = "w") -> bool:
    with sessions.begin() as session:
        return bool(
            life.claim(
                message.pid, message.attempt,
                site="here", group="cpu", worker=worker, host="h", version="v", lease_s=60.0,
            ).run(session)
        )  # fmt: skip


def test_processes_come_by_priority_and_once(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    inbox = Inbox(open_broker())
    queue_up(sessions, 1, 2, 3)
    queue_up(sessions, 4, priority=-1)
    got = []
    while (delivery := inbox.receive(0.2)) is not None:
        got.append(delivery.message)
        assert claim(sessions, delivery.message)
        inbox.broker.settle(delivery)
    assert got == [Message(pid, 1) for pid in (4, 1, 2, 3)]


def test_prefetch_bounds_what_is_out(sessions: sessionmaker[Session], open_broker: Callable[[], Broker]) -> None:
    queue_up(sessions, 1, 2, 3)
    inbox = Inbox(open_broker(), prefetch=2)
    first = inbox.receive()
    assert first is not None
    assert (first.message.pid, inbox.pid(), inbox.pid()) == (1, 2, None)
    assert claim(sessions, first.message)
    inbox.broker.settle(first)
    assert inbox.pid() == 3


def test_what_was_not_claimed_comes_to_another(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    queue_up(sessions, 7)
    first = open_broker()
    assert Inbox(first).pid() == 7
    first.close()
    assert Inbox(open_broker()).pid() == 7


def test_of_two_that_are_given_the_same_process_one_claims_it(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    queue_up(sessions, 1, 2)
    inboxes = [Inbox(open_broker()), Inbox(open_broker())]
    given = [inbox.receive() for inbox in inboxes]
    won = []
    for worker, inbox, delivery in zip("ab", inboxes, given, strict=True):
        assert delivery is not None
        won.append(claim(sessions, delivery.message, worker))
        inbox.broker.settle(delivery)
    assert won == [True, False]
    assert inboxes[1].pid() == 2


def test_only_the_queues_that_were_asked_for(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    queue_up(sessions, 1, group="memory")
    queue_up(sessions, 2, site="there")
    inbox = Inbox(open_broker(), CPU)
    assert inbox.pid() is None
    assert [inbox.broker.depth(queue) for queue in (CPU, MEMORY)] == [0, 1]
    delivery = Inbox(open_broker(), CPU, MEMORY).receive()
    assert delivery is not None
    assert (delivery.queue, delivery.message) == (MEMORY, Message(1, 1))


def test_what_a_pause_takes_back_does_not_come(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    queue_up(sessions, 1)
    with sessions.begin() as session:
        [cpu] = [one for one in scheduling.queues(session) if (one.site, one.group) == ("here", "cpu")]
        operating.pause(session, cpu.site_id, cpu.group_id)
    assert Inbox(open_broker()).pid() is None


def test_another_attempt_comes_as_such(sessions: sessionmaker[Session], open_broker: Callable[[], Broker]) -> None:
    queue_up(sessions, 1)
    assert claim(sessions, Message(1, 1))
    with sessions.begin() as session:
        assert life.fail(1, 1, Failure("transient", "disk away"), retry_in_s=0.0).run(session)
    database.transact(sessions, scheduling.take_ready)
    delivery = Inbox(open_broker()).receive()
    assert delivery is not None
    assert delivery.message == Message(1, 2)


def test_a_second_attempt_does_not_come_to_the_consumer_that_is_slow(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    queue_up(sessions, 1)
    assert claim(sessions, Message(1, 1))
    with sessions.begin() as session:
        assert stragglers.offer_second(1, 1, "tel1:10/0").run(session)
    assert Inbox(open_broker(), consumer="tel1:10").pid() is None
    delivery = Inbox(open_broker(), consumer="tel1:11").receive()
    assert delivery is not None
    assert delivery.message == Message(1, 2)


def test_settling_in_another_thread_brings_the_next(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    queue_up(sessions, 1, 2)
    broker = open_broker()
    inbox = Inbox(broker)
    delivery = inbox.receive()
    assert delivery is not None
    assert claim(sessions, delivery.message)
    thread = threading.Thread(target=broker.settle, args=(delivery,))
    thread.start()
    thread.join()
    assert inbox.receive(0.0) is not None, "it came with the settling"


def test_a_delivery_of_another_connection_is_left_alone(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    queue_up(sessions, 1, 2)
    held = Inbox(open_broker()).receive()
    inbox = Inbox(open_broker())
    assert held is not None
    assert inbox.pid() == 1
    inbox.broker.settle(held)  # as a slot does whose consumer has connected anew meanwhile
    assert inbox.pid() is None, "its one place is still taken"


def test_an_end_is_heard_of_until_it_is_counted(
    sessions: sessionmaker[Session], open_broker: Callable[[], Broker]
) -> None:
    queue_up(sessions, 1)
    listener = open_broker()
    listener.listen(event_queue("here"))
    assert claim(sessions, Message(1, 1))
    assert listener.wait_for_events(0.0) == 0
    with sessions.begin() as session:
        assert life.succeed(1, 1, USAGE).run(session)
    assert listener.wait_for_events(PATIENCE_S) == 1
    database.transact(sessions, scheduling.propagate)
    assert listener.wait_for_events(0.05) == 0


def test_a_file_that_nobody_changed_is_looked_into_once(
    engine: Engine, sessions: sessionmaker[Session], open_broker: Callable[[], Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite tells whether anybody committed; a server is asked each time."""
    asked = []
    for name in ("queued", "has_ended"):
        question = getattr(queueing, name)
        monkeypatch.setattr(
            queueing, name, lambda *given, _name=name, _ask=question: (asked.append(_name), _ask(*given))[1]
        )
    manager, inbox = open_broker(), Inbox(open_broker())
    looks = range(3)
    for _ in looks:
        assert (manager.wait_for_events(0.0), inbox.pid()) == (0, None)
    counts = asked.count("has_ended"), asked.count("queued")
    assert counts == (1, 1) if engine.dialect.name == "sqlite" else min(counts) >= len(looks)
    queue_up(sessions, 1)
    delivery = inbox.receive(0.2)
    assert delivery is not None
    assert claim(sessions, delivery.message)
    database.transact(sessions, life.succeed(1, 1, USAGE).commit)
    for _ in looks:
        assert manager.wait_for_events(0.0) == 1  # until it is counted
    queue_up(sessions, 2)
    inbox.broker.settle(delivery)
    assert inbox.pid() == 2


def test_looking_walks_an_index(engine: Engine, sessions: sessionmaker[Session]) -> None:
    queue_up(sessions, *range(1, 2001))
    if engine.dialect.name != "sqlite":
        with sessions.begin() as session:  # statistics as a server has them after a while
            session.execute(text("ANALYZE TABLE process, process_group, site"))
    for query, parameters, index in (
        (
            queueing.QUEUED_FOR,
            {"site": "here", "groups": ["cpu"], "consumer": "host:1", "most": 2},
            scheduling.READY_INDEX,
        ),
        (queueing.HAS_ENDED, {}, scheduling.ENDED_INDEX),
    ):
        plan = plan_of(engine, query, parameters)
        assert index in plan, plan
        assert "SCAN process " not in plan, plan


@pytest.mark.parametrize("url", ["local:///var/queue.db", "local://host"])
def test_a_path_or_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="takes no path or host"):
        connect(url, "sqlite://")
