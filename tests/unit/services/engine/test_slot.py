"""A consumer's slot: when it claims, when it settles, and what becomes of a claim that waits behind a dead worker."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.attempts import Claim, Failure, Usage
from schema.processes import (
    LOST,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    WAITING,
    Lease,
    Process,
    ProcessAttempt,
    ProcessGroup,
    Site,
)
from schema.queries import life, publishing, scheduling
from schema.queries.publishing import NewProcess
from services.engine.broker import Delivery, Message
from services.engine.consumer.messages import Died, Report, Saving
from services.engine.consumer.slot import Slot
from services.engine.consumer.slot_state import SHORT_S
from services.settings import Settings, load

PATIENCE_S = 10.0
LEASE_S = 3.0  # renewed every second
A_WHILE_S = 0.3  # enough to do what must not be done
USAGE = Usage(seconds=0.1)


class Worker:
    """Stands for a worker process: says what the test lets it say, and takes claims as a pipe does."""

    def __init__(self) -> None:
        self.ready, self.pid = True, os.getpid()
        self.claims: list[Claim] = []
        self.kills = 0
        self._messages: deque[Saving | Report | Died] = deque()
        self._said, self._say = os.pipe()

    def start(self) -> None:
        pass

    def ask_to_end(self) -> None:
        pass

    def kill(self) -> None:
        self.kills += 1
        self.claims.clear()

    def submit(self, claim: Claim) -> None:
        self.claims.append(claim)

    def submit_next(self, claim: Claim) -> bool:
        self.claims.append(claim)
        return True

    def fileno(self) -> int:
        return self._said

    def late(self) -> None:
        return None

    def hear(self) -> Saving | Report | Died:
        os.read(self._said, 1)
        message = self._messages.popleft()
        if isinstance(message, Died):
            self.kill()
        elif isinstance(message, Report):
            self.claims.pop(0)
        return message

    def say(self, message: Saving | Report | Died) -> None:
        self._messages.append(message)
        os.write(self._say, b".")


class Broker:
    """Remembers what was settled and told."""

    def __init__(self) -> None:
        self.settled: list[int] = []
        self.put_aside: list[int] = []
        self.told: list[int] = []

    def settle(self, delivery: Delivery, *, accepted: bool = True) -> None:
        (self.settled if accepted else self.put_aside).append(delivery.message.pid)

    def tell(self, _events: str, message: Message) -> None:
        self.told.append(message.pid)


@pytest.fixture
def settings(tmp_path: Path, ready_sqlite_url: str) -> Settings:
    return load(database_url=SecretStr(ready_sqlite_url), site="here", root=tmp_path, lease_s=LEASE_S)


@pytest.fixture
def sessions(settings: Settings) -> Iterator[sessionmaker[Session]]:
    """Of a database in which the processes 1 to 4 are queued."""
    engine: Engine = database.connect(settings.database_url.get_secret_value())
    factory = database.session_factory(engine)
    with factory.begin() as session:
        session.add_all([Site(name="here", root="/nowhere"), ProcessGroup(name="cpu")])
    with factory.begin() as session:
        some = [
            NewProcess(
                pid=pid, graph_pid=1, command="check", parameters="{}", group="cpu", observation_id=None,
                required=(), optional=(),
            )
            for pid in (1, 2, 3, 4)
        ]  # fmt: skip
        publishing.publish(session, some, site="here", choices_id=None)
    database.transact(factory, scheduling.take_ready)
    yield factory
    engine.dispose()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def slot(settings: Settings, sessions: sessionmaker[Session], broker: Broker) -> Iterator[Slot]:
    one = Slot("w", settings, lambda: broker, Worker())  # type: ignore[arg-type, return-value]  # both stand-ins
    one.thread.start()
    yield one
    one.leave()
    worker = worker_of(one)
    while worker.claims:  # what is left ends badly, so that the thread can leave
        worker.say(Report(USAGE, Failure("data", "the test is over")))
        time.sleep(0.01)
    one.thread.join(PATIENCE_S)
    assert not one.thread.is_alive()


def worker_of(slot: Slot) -> Worker:
    child: object = slot._child
    assert isinstance(child, Worker)
    return child


def give(slot: Slot, pid: int) -> None:
    slot.give(Delivery("tianyu.here.cpu", Message(pid, 1), pid))


def test_a_message_in_the_queue_of_another_site_starts_nothing(
    sessions: sessionmaker[Session], slot: Slot, broker: Broker
) -> None:
    slot.give(Delivery("tianyu.there.cpu", Message(1, 1), 1))
    eventually(lambda: bool(broker.put_aside))
    assert (broker.put_aside, broker.settled, slot.load) == ([1], [], 0)
    assert worker_of(slot).claims == []
    assert status(sessions, 1) == QUEUED
    give(slot, 1)  # the message of its own queue
    eventually(lambda: [claim.pid for claim in worker_of(slot).claims] == [1])


def hold_two(slot: Slot) -> None:
    """Process 1 sits in its commit, process 2 is claimed and waits for it."""
    give(slot, 1)
    give(slot, 2)
    eventually(lambda: bool(worker_of(slot).claims))
    worker_of(slot).say(Saving())
    eventually(lambda: len(worker_of(slot).claims) == 2)


def succeed(sessions: sessionmaker[Session], slot: Slot, pid: int) -> None:
    """What a worker does at the end of an attempt."""
    with sessions.begin() as session:
        assert life.succeed(pid, 1, USAGE).run(session)
    worker_of(slot).say(Report(USAGE))


def status(sessions: sessionmaker[Session], pid: int) -> str:
    with sessions.begin() as session:
        return session.get_one(Process, pid).status


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_no_second_process_is_held_while_a_step_works(
    slot: Slot, sessions: sessionmaker[Session], broker: Broker
) -> None:
    give(slot, 1)
    eventually(lambda: status(sessions, 1) == RUNNING)
    give(slot, 2)
    time.sleep(A_WHILE_S)
    assert status(sessions, 2) == QUEUED
    assert broker.settled == []

    worker_of(slot).say(Saving())
    eventually(lambda: status(sessions, 2) == RUNNING)
    assert broker.settled == [1]
    assert broker.told == []
    assert [claim.pid for claim in worker_of(slot).claims] == [1, 2]

    give(slot, 3)
    succeed(sessions, slot, 1)
    eventually(lambda: broker.told == [1])
    time.sleep(A_WHILE_S)
    assert status(sessions, 3) == QUEUED, "process 2 is in work by now"


def test_a_step_that_ends_within_a_round_trip_lets_its_message_go_at_once(
    slot: Slot, sessions: sessionmaker[Session], broker: Broker
) -> None:
    give(slot, 1)
    eventually(lambda: bool(worker_of(slot).claims))
    time.sleep(3 * SHORT_S)
    worker_of(slot).say(Saving())
    succeed(sessions, slot, 1)
    eventually(lambda: broker.told == [1])

    give(slot, 2)  # the one before it was long
    eventually(lambda: status(sessions, 2) == RUNNING)
    assert broker.settled == [1]
    slot._state._lasted["check"] = SHORT_S / 2
    worker_of(slot).say(Saving())
    succeed(sessions, slot, 2)
    eventually(lambda: broker.told == [1, 2])
    slot._state._lasted["check"] = SHORT_S / 2  # as a quick worker would have it

    give(slot, 3)
    eventually(lambda: broker.settled == [1, 2, 3])
    assert slot.load == 0, "free for the message that comes for it"
    assert status(sessions, 3) == RUNNING
    give(slot, 4)
    time.sleep(A_WHILE_S)
    assert status(sessions, 4) == QUEUED


def test_a_claim_in_the_pipe_of_a_worker_that_dies_goes_to_the_next(
    slot: Slot, sessions: sessionmaker[Session], broker: Broker
) -> None:
    hold_two(slot)
    worker_of(slot).say(Died("the worker process was ended by SIGKILL", at_work=True))
    eventually(lambda: [claim.pid for claim in worker_of(slot).claims] == [2])
    assert status(sessions, 1) == WAITING
    with sessions.begin() as session:
        outcomes = session.execute(select(ProcessAttempt.pid, ProcessAttempt.outcome).order_by(ProcessAttempt.pid))
        assert outcomes.all() == [(1, "killed"), (2, None)]
    succeed(sessions, slot, 2)
    eventually(lambda: broker.told == [1, 2])
    assert status(sessions, 2) == SUCCEEDED
    assert broker.settled == [1, 2]


def test_a_lost_lease_ends_the_worker_and_the_claim_that_waited_goes_on(
    slot: Slot, sessions: sessionmaker[Session], broker: Broker
) -> None:
    """The manager has freed process 1, which sits in its commit, and nobody knows of what it does there."""
    hold_two(slot)
    with sessions.begin() as session:
        assert life.fail(1, 1, Failure("transient", "was it killed?"), retry_in_s=600.0, outcome=LOST).run(session)
    eventually(lambda: worker_of(slot).kills == 1)
    eventually(lambda: [claim.pid for claim in worker_of(slot).claims] == [2])
    assert status(sessions, 1) == WAITING
    succeed(sessions, slot, 2)
    eventually(lambda: broker.told == [1, 2])
    assert status(sessions, 2) == SUCCEEDED


def test_leases_of_both_are_renewed(slot: Slot, sessions: sessionmaker[Session]) -> None:
    hold_two(slot)

    def until() -> dict[int, float]:
        with sessions.begin() as session:
            return {lease.pid: lease.lease_until.timestamp() for lease in session.scalars(select(Lease))}

    before = until()
    assert before.keys() == {1, 2}
    eventually(lambda: all(until()[pid] > before[pid] for pid in before))


def test_what_was_recalled_is_not_claimed(slot: Slot, sessions: sessionmaker[Session], broker: Broker) -> None:
    give(slot, 1)
    eventually(lambda: bool(worker_of(slot).claims))
    give(slot, 2)
    slot.recall()
    eventually(lambda: slot.load == 1)
    succeed(sessions, slot, 1)
    eventually(lambda: broker.told == [1])
    assert (status(sessions, 2), slot.load) == (QUEUED, 0)
    give(slot, 2)  # by another connection
    eventually(lambda: [claim.pid for claim in worker_of(slot).claims] == [2])


def test_an_attempt_that_met_sick_surroundings_does_not_count(slot: Slot, sessions: sessionmaker[Session]) -> None:
    give(slot, 1)
    eventually(lambda: bool(worker_of(slot).claims))
    worker_of(slot).say(Report(USAGE, Failure("surroundings", "disk full")))
    eventually(lambda: status(sessions, 1) == WAITING)
    with sessions.begin() as session:
        process = session.get_one(Process, 1)
        assert (process.attempt, process.max_attempts, process.error_class) == (1, 4, "surroundings")


def test_a_duplicate_is_settled_and_nothing_else(slot: Slot, sessions: sessionmaker[Session], broker: Broker) -> None:
    give(slot, 1)
    eventually(lambda: status(sessions, 1) == RUNNING)
    worker_of(slot).say(Saving())
    eventually(lambda: broker.settled == [1])
    give(slot, 1)
    eventually(lambda: broker.settled == [1, 1])
    assert len(worker_of(slot).claims) == 1
    assert broker.told == []
