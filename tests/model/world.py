"""What surrounds the database: a manager with a memory that dies with it, workers, and a broker that promises little.

Each action ends in operations of the database, which go through ``perform``: on the model, on SQL, or on both.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schema.processes import FAILED, FINISHED, KILLED
from tests.model.reference import Message, Node, Queue

Perform = Callable[..., Any]  # the name of an operation, and its arguments
WORKERS = ("w0/0", "w1/0")
SUCCESS, HIT, TRANSIENT, TRANSIENT_LATER, SPARED, FINAL, DEAD, DEAD_BEFORE_COMMIT, DEAD_AFTER_COMMIT = ENDS = (
    "success",
    "success by another's result",
    "transient failure, again at once",
    "transient failure, again later",
    "failure of the surroundings, which costs no attempt",
    "final failure",
    "died",
    "died before its commit",
    "died after its commit",
)


@dataclass
class Held:
    """What a worker is at."""

    pid: int
    attempt: int
    max_attempts: int
    unsettled: bool = True  # its message goes back to the queue with its connection


@dataclass
class World:
    """Everything that a crash may lose, and the actions on it."""

    perform: Perform
    queue_of: dict[int, Queue] = field(default_factory=dict)
    broker: list[Message] = field(default_factory=list)  # in no order that counts
    workers: dict[str, Held | None] = field(default_factory=lambda: dict.fromkeys(WORKERS))
    to_send: list[Message] = field(default_factory=list)
    to_mark: list[int] = field(default_factory=list)

    def copy(self, perform: Perform) -> "World":
        """A world of its own over another database."""
        return World(
            perform,
            dict(self.queue_of),
            list(self.broker),
            {name: copy.copy(held) for name, held in self.workers.items()},
            list(self.to_send),
            list(self.to_mark),
        )

    # Manager: one thread, which sends and marks what it took before it takes more.

    def publish(self, nodes: Sequence[Node]) -> None:
        if self.perform("publish", tuple(nodes)):
            self.queue_of |= {node.pid: node.queue for node in nodes}

    @property
    def manager_is_idle(self) -> bool:
        return not self.to_send and not self.to_mark

    def take(self, window: int) -> None:
        assert self.manager_is_idle
        self.to_send = list(self.perform("take_ready", window))

    def take_unsent(self, limit: int) -> None:
        assert self.manager_is_idle
        self.to_send = list(self.perform("unsent", limit))

    def send(self, most: int) -> None:
        sent, self.to_send = self.to_send[:most], self.to_send[most:]
        self.broker += sent
        self.to_mark += [pid for pid, _ in sent]

    def mark(self) -> None:
        self.perform("mark_sent", tuple(self.to_mark))
        self.to_mark = []

    def kill_manager(self) -> None:
        self.to_send, self.to_mark = [], []

    def find_lost(self) -> None:
        """What the broker confirmed and neither holds nor delivered is to be sent again."""
        depth = [self.queue_of[pid] for pid, _ in self.broker]
        for queue, unclaimed in self.perform("unclaimed").items():
            if depth.count(queue) < unclaimed:
                self.perform("forget_sent", queue)

    # Workers

    @property
    def idle(self) -> list[str]:
        return [name for name, held in self.workers.items() if held is None]

    @property
    def busy(self) -> list[str]:
        return [name for name, held in self.workers.items() if held is not None]

    def deliver(self, message: Message, worker: str, *, answer_lost: bool = False) -> None:
        """Claim; where the answer of the commit was lost, claim again."""
        self.broker.remove(message)
        claim = self.perform("claim", *message, worker)
        if answer_lost:
            again = self.perform("claim", *message, worker)
            assert again == claim, f"{worker} claimed {message}: {claim}, then {again}"
        if claim is None:
            self.perform("hand_on", *message)
        else:
            self.workers[worker] = Held(*claim)

    def _held(self, worker: str) -> Held:
        held = self.workers[worker]
        assert held is not None
        return held

    def renew(self, worker: str) -> None:
        held = self._held(worker)
        self.perform("renew", held.pid, held.attempt)

    def disconnect(self, worker: str) -> None:
        """The connection is lost while the work goes on: the message is delivered again."""
        held = self._held(worker)
        if held.unsettled:
            self.broker.append((held.pid, held.attempt))
            held.unsettled = False

    def end(self, worker: str, how: str) -> None:
        """End an attempt, whether or not its lease still holds."""
        held = self._held(worker)
        again = held.attempt < held.max_attempts
        if how in (SUCCESS, DEAD_AFTER_COMMIT):
            self.perform("succeed", held.pid, held.attempt)
        elif how == HIT:
            self.perform("succeed_by", held.pid, held.attempt)
        elif how in (TRANSIENT, TRANSIENT_LATER):
            self.perform("fail", held.pid, held.attempt, again, how == TRANSIENT_LATER)
        elif how == SPARED:
            self.perform("fail", held.pid, held.attempt, True, True, FAILED, True)
        elif how == FINAL:
            self.perform("fail", held.pid, held.attempt, False, False, KILLED)
        elif how == DEAD_BEFORE_COMMIT:
            self.perform("die_before_commit", held.pid, held.attempt)
        if how in (DEAD, DEAD_BEFORE_COMMIT, DEAD_AFTER_COMMIT):
            self.disconnect(worker)
            del self.workers[worker]
            # The next one has another name: it is no claim of its own that it finds.
            number, _, life = worker.partition(".")  # though of the same consumer
            self.workers[f"{number}.{int(life or 0) + 1}"] = None
        else:
            self.workers[worker] = None

    # The end of every run

    def drain(self, status: Callable[[], dict[int, str]], queues: Sequence[Queue], rounds: int, window: int) -> None:
        """With nothing dying any more and a manager that sweeps, every process ends within ``rounds``.

        The dead stay silent: their leases expire. Some attempts fail.
        """
        self.kill_manager()
        for queue in queues:
            self.perform("resume", queue)
        for worker in self.busy:
            self._finish(worker)
        for pid in sorted(self.queue_of):
            self.perform("expire", pid)
        for _ in range(rounds):
            if set(status().values()) <= set(FINISHED) and not self.broker:
                break
            self._one_round(window)
        stuck = {pid: state for pid, state in status().items() if state not in FINISHED}
        assert not stuck, f"after {rounds} rounds without a crash these did not end: {stuck}"
        while self.perform("propagate", 1000):
            pass

    def _one_round(self, window: int) -> None:
        self.perform("free_expired")
        self.perform("let_delays_end")
        self.find_lost()
        while self.perform("propagate", 1000):
            pass
        for source in (self.take_unsent, self.take):
            source(window)
            self.send(len(self.to_send))
            self.mark()
        worker = self.idle[0]
        for message in list(self.broker):
            self.deliver(message, worker)
            if self.workers[worker] is not None:
                self._finish(worker)

    def _finish(self, worker: str) -> None:
        held = self._held(worker)
        self.end(worker, TRANSIENT_LATER if (held.pid + held.attempt) % 4 == 0 else SUCCESS)
