"""Many at once on a real server: managers, workers and operators over one graph. What holds in every state holds in the
end, and everything ends. The order of events is the threads' own; what each of them does is not.
"""

import random
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import aliased

from schema.processes import FAILED, SUCCEEDED, Process, ProcessAttempt, ProcessDependence
from tests.model import defects
from tests.model.facts import check
from tests.model.reference import Message, Node
from tests.model.sql import QUEUES, Sql
from tests.model.world import World

PROCESSES = 200
THREADS = 5
OPERATIONS = 120  # of each thread
SEED = 20201217
SITE_QUEUES = [queue for queue in QUEUES if queue[0] == "here"]
ALONE = threading.Lock()  # as long as a retry and a count must not overlap


def graph(rng: random.Random) -> list[Node]:
    nodes = []
    for pid in range(1, PROCESSES + 1):
        parents = rng.sample(range(max(1, pid - 30), pid), k=min(rng.randint(0, 3), pid - 1, 30))
        required = {parent for parent in parents if rng.random() < 0.5}
        nodes.append(
            Node(
                pid,
                rng.choice(SITE_QUEUES),
                tuple(sorted(required)),
                tuple(sorted(set(parents) - required)),
                priority=rng.randint(-1, 1),
                max_attempts=3,
            )
        )
    return nodes


class Actor:
    """Does one thing after the other at random: it is manager, worker and operator in turn."""

    def __init__(self, number: int, sql: Sql, broker: list[Message]) -> None:
        self.thread = threading.Thread(target=self._act)
        self._name_of_worker = f"w{number}"
        self._rng = random.Random(SEED + number)
        self._sql, self._broker = sql, broker
        self.error: BaseException | None = None

    def _act(self) -> None:
        acts: list[tuple[Callable[[], object], int]] = [
            (self._work, 12),
            (self._manage, 5),
            (self._count, 5),
            (self._sweep, 2),
            (lambda: self._sql.expire(self._any()), 2),
            (self._offer, 2),
            (self._sql.let_delays_end, 1),
            (lambda: self._sql.cancel([self._any()]), 1),
            (self._retry, 2),
            (self._pause, 1),
        ]
        try:
            for act in self._rng.choices([a for a, _ in acts], [weight for _, weight in acts], k=OPERATIONS):
                act()
        except BaseException as error:
            self.error = error

    def _any(self) -> int:
        return self._rng.randint(1, PROCESSES)

    def _manage(self) -> None:
        messages = self._sql.take_ready(self._rng.choice([5, 20]))
        sent = messages[: self._rng.choice([len(messages), len(messages) // 2])]  # the manager dies in between
        self._broker.extend(sent)
        self._sql.mark_sent([pid for pid, _ in sent])

    def _sweep(self) -> None:
        self._sql.free_expired()
        self._broker.extend(self._sql.unsent(20))

    def _offer(self) -> None:
        for pid, attempt in list(self._sql.facts().leases)[:3]:
            self._sql.offer_second(pid, attempt)

    def _guarded(self, work: Callable[[], object]) -> None:
        if defects.RETRY_LOOKS_TOO_EARLY in defects.OPEN:
            with ALONE:
                work()
        else:
            work()

    def _count(self) -> None:
        self._guarded(lambda: self._sql.propagate(self._rng.choice([1, 20])))

    def _retry(self) -> None:
        self._guarded(lambda: self._sql.retry([self._any() for _ in range(5)]))

    def _pause(self) -> None:
        queue = self._rng.choice(SITE_QUEUES)
        self._sql.pause(queue)
        self._sql.resume(queue)

    def _work(self) -> None:
        try:
            message = self._broker[self._rng.randrange(len(self._broker))]
            if self._rng.random() < 0.9:  # else it will be delivered again
                self._broker.remove(message)
        except (IndexError, ValueError):  # there is none, or another was faster
            return
        claim = self._sql.claim(*message, f"{self._name_of_worker}/{self._rng.random()}")
        if claim is None:
            return
        pid, attempt, most = claim
        fate = self._rng.random()
        if fate < 0.6:
            self._sql.succeed(pid, attempt)
            self._sql.succeed(pid, attempt)  # once more, as a second execution would
        elif fate < 0.8:
            self._sql.fail(pid, attempt, again=attempt < most, delayed=fate < 0.7)
        elif fate < 0.9:
            self._sql.fail(pid, attempt, again=False)
        elif fate < 0.95:
            self._sql.die_before_commit(pid, attempt)


def started_too_early(sql: Sql) -> list[tuple[int, int]]:
    """Attempts that began before a process that they require had succeeded, by the clock of the database."""
    parent = aliased(Process)
    query = (
        select(ProcessAttempt.pid, ProcessAttempt.attempt)
        .join(ProcessDependence, ProcessDependence.child_pid == ProcessAttempt.pid)
        .join(parent, parent.pid == ProcessDependence.parent_pid)
        .where(
            ProcessDependence.required,
            (parent.status != SUCCEEDED) | (parent.finished_at > ProcessAttempt.started_at),
        )
    )
    with sql.sessions.begin() as session:
        return [(pid, attempt) for pid, attempt in session.execute(query)]


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)
def test_what_many_do_at_once_is_sound_and_ends(sql: Sql) -> None:
    nodes = graph(random.Random(SEED))
    dependences = {node.pid: (node.required, node.optional) for node in nodes}
    broker: list[Message] = []
    world = World(lambda operation, *arguments: getattr(sql, operation)(*arguments), broker=broker)
    world.publish(nodes)
    actors = [Actor(number, sql, broker) for number in range(THREADS)]
    for actor in actors:
        actor.thread.start()
    for actor in actors:
        actor.thread.join()
    assert [actor.error for actor in actors if actor.error] == []
    facts = sql.facts()
    check(facts, dependences)
    assert started_too_early(sql) == []
    outcomes = list(facts.attempts.values())
    assert min(outcomes.count(SUCCEEDED), outcomes.count(FAILED)) > 5  # the threads did not run dry

    def status() -> dict[int, str]:
        return {pid: process.status for pid, process in sql.facts().processes.items()}

    world.drain(status, QUEUES, rounds=4 * PROCESSES, window=1000)
    facts = sql.facts()
    check(facts, dependences)
    assert started_too_early(sql) == []
    assert not facts.leases
