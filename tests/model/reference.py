"""The life of a process in plain Python: what the queries promise, without SQL.

The state holds the facts that the database holds. Where the database keeps a time the model keeps what it means now:
a lease is held or expired, a retry is due or delayed.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

from schema.processes import (
    CANCELLED,
    FAILED,
    FINISHED,
    LOST,
    OUTRUN,
    QUEUED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    UNFINISHED,
    WAITING,
)


def consumer_of(worker: str) -> str:
    """Workers of one consumer have its name before the stroke."""
    return worker.split("/")[0]


MORE_ATTEMPTS = 3  # what an operator's retry adds
UNSUCCESSFUL = (FAILED, SKIPPED, CANCELLED)

Queue = tuple[str, str]  # site, group
Message = tuple[int, int]  # PID, attempt
Claimed = tuple[int, int, int]  # PID, attempt, max_attempts


@dataclass(frozen=True)
class Node:
    """A process to be published."""

    pid: int
    queue: Queue
    required: tuple[int, ...] = ()
    optional: tuple[int, ...] = ()
    priority: int = 0
    max_attempts: int = 3


@dataclass
class Row:
    """A process."""

    node: Node
    pending: int
    max_attempts: int
    status: str = WAITING
    propagated: bool = False
    attempt: int = 0
    delayed: bool = False  # not before a time that is still to come
    sent: bool = False
    slow: int | None = None  # an attempt that may still succeed, though another was offered beside it
    slow_consumer: str = ""
    # Not in the database: it has been taken since `pending` was counted last. Only then may an optional parent, sent
    # back by an operator, be under way while its child waits with nothing pending.
    released: bool = False

    @property
    def parents(self) -> tuple[int, ...]:
        return (*self.node.required, *self.node.optional)


@dataclass
class Lease:
    """A worker's claim."""

    worker: str
    expired: bool = False


class Violation(AssertionError):
    """The database did what the model does not allow."""


@dataclass
class Model:
    """The facts, and what each operation makes of them. Results are those of the queries."""

    queues: tuple[Queue, ...]  # in the order of their ids
    rows: dict[int, Row] = field(default_factory=dict)
    leases: dict[Message, Lease] = field(default_factory=dict)
    attempts: dict[Message, str | None] = field(default_factory=dict)  # outcome; None while it runs
    outputs: list[Message] = field(default_factory=list)
    origins: dict[int, int] = field(default_factory=dict)  # whose result a process took over
    paused: set[Queue] = field(default_factory=set)

    def copy(self) -> "Model":
        """A state of its own."""
        return Model(
            self.queues,
            {pid: copy.copy(row) for pid, row in self.rows.items()},
            {held: copy.copy(lease) for held, lease in self.leases.items()},
            dict(self.attempts),
            list(self.outputs),
            dict(self.origins),
            set(self.paused),
        )

    # Publisher

    def hopeless(self, node: Node) -> bool:
        """Whether a parent that it requires has ended without success, and that end has been counted."""
        return any(p in self.rows and self._counted(p) and self.rows[p].status != SUCCEEDED for p in node.required)

    def publish(self, nodes: Sequence[Node], accepted: bool = True) -> bool:
        """Insert a graph. What requires a parent that failed long ago is skipped, or the graph is refused."""
        if not accepted:
            if not any(self.hopeless(node) for node in nodes):
                raise Violation("a graph without fault was refused")
            return False
        own = {node.pid for node in nodes}
        for node in nodes:
            parents = (*node.required, *node.optional)
            row = Row(node, sum(p in own or not self._counted(p) for p in parents), node.max_attempts)
            if self.hopeless(node):
                row.status = SKIPPED
            self.rows[node.pid] = row
        return True

    # Manager

    def _counted(self, pid: int) -> bool:
        return self.rows[pid].propagated and self.rows[pid].status in FINISHED

    def uncounted_parents(self, pid: int) -> int:
        """What `pending` counts: parents that have not ended or whose end the manager has not counted."""
        return sum(not self._counted(parent) for parent in self.rows[pid].parents)

    def propagate(self, limit: int) -> int:
        ended = sorted(p for p, row in self.rows.items() if row.status in FINISHED and not row.propagated)[:limit]
        success = {pid: self.rows[pid].status == SUCCEEDED for pid in ended}  # a child may be skipped meanwhile
        for row in self.rows.values():
            if row.status != WAITING:
                continue
            if any(not success.get(parent, True) for parent in row.node.required):
                row.status = SKIPPED
            else:
                row.pending = max(row.pending - sum(parent in success for parent in row.parents), 0)
        for pid in ended:
            self.rows[pid].propagated = True
        return len(ended)

    def take_ready(self, window: int) -> list[Message]:
        taken: list[Message] = []
        for queue in self.queues:
            if queue in self.paused:
                continue
            mine = [row for row in self.rows.values() if row.node.queue == queue]
            room = max(window - sum(row.status == QUEUED for row in mine), 0)
            ready = [row for row in mine if row.status == WAITING and row.pending == 0 and not row.delayed]
            for row in sorted(ready, key=lambda row: (row.node.priority, row.node.pid))[:room]:
                self._check_start(row)
                row.status, row.sent, row.released = QUEUED, False, True
                taken.append((row.node.pid, row.attempt + 1))
        return taken

    def _check_start(self, row: Row) -> None:
        """Nothing runs before what it needs: said of the parents themselves, not of `pending`."""
        if any(self.rows[p].status != SUCCEEDED for p in row.node.required):
            raise Violation(f"process {row.node.pid} starts without a success that it requires")
        if not row.released and any(self.rows[p].status not in FINISHED for p in row.node.optional):
            raise Violation(f"process {row.node.pid} starts before an optional dependency has ended")

    def mark_sent(self, pids: Sequence[int]) -> None:
        for pid in pids:
            self.rows[pid].sent |= self.rows[pid].status == QUEUED

    def unsent(self, limit: int) -> list[Message]:
        pids = sorted(p for p, row in self.rows.items() if row.status == QUEUED and not row.sent)[:limit]
        rows = sorted((self.rows[pid] for pid in pids), key=lambda row: (row.node.priority, row.node.pid))
        return [(row.node.pid, row.attempt + 1) for row in rows]

    def unclaimed(self) -> dict[Queue, int]:
        """Messages that the broker confirmed and nobody claimed."""
        sent = [row.node.queue for row in self.rows.values() if row.status == QUEUED and row.sent]
        return {queue: sent.count(queue) for queue in self.queues if queue in sent}

    def forget_sent(self, queue: Queue) -> None:
        for row in self.rows.values():
            if row.node.queue == queue and row.status == QUEUED:
                row.sent = False

    def free_expired(self) -> list[Message]:
        freed = [held for held, lease in sorted(self.leases.items()) if lease.expired]
        for pid, attempt in freed:
            row = self.rows[pid]
            beside = row.slow is not None and row.slow != attempt
            again = attempt < row.max_attempts or beside
            self.fail(pid, attempt, again=again, outcome=LOST, spared=beside)
        return freed

    def offer_second(self, pid: int, attempt: int) -> bool:
        """Let another work on it beside this attempt."""
        row = self.rows[pid]
        if row.slow is not None or not self._holds_newest(pid, attempt):
            return False
        row.status, row.sent = QUEUED, False
        row.slow, row.slow_consumer = attempt, consumer_of(self.leases[pid, attempt].worker)
        row.max_attempts += 1
        return True

    # Worker

    def claim(self, pid: int, attempt: int, worker: str) -> Claimed | None:
        row = self.rows[pid]
        its_own = row.slow is not None and row.slow_consumer == consumer_of(worker)
        if row.status == QUEUED and row.attempt == attempt - 1 and not its_own:
            row.status, row.attempt = RUNNING, attempt
            self.attempts[pid, attempt] = None
            self.leases[pid, attempt] = Lease(worker)
        else:
            lease = self.leases.get((pid, attempt))
            if lease is None or lease.worker != worker:
                return None
        return pid, attempt, row.max_attempts

    def hand_on(self, pid: int, attempt: int) -> bool:
        """Have its message sent again."""
        row = self.rows[pid]
        if row.status != QUEUED or row.attempt != attempt - 1:
            return False
        row.sent = False
        return True

    def _holds_newest(self, pid: int, attempt: int) -> bool:
        return self.rows[pid].status == RUNNING and self.rows[pid].attempt == attempt

    def _holds(self, pid: int, attempt: int) -> bool:
        return self._holds_newest(pid, attempt) or self.rows[pid].slow == attempt

    def renew(self, pid: int, attempt: int) -> bool:
        if self._holds(pid, attempt):
            self.leases[pid, attempt].expired = False
        return self._holds(pid, attempt)

    def _end(self, pid: int, attempt: int, outcome: str) -> None:
        self.attempts[pid, attempt] = outcome
        del self.leases[pid, attempt]

    def _end_others(self, pid: int, outcome: str) -> None:
        """With the process all that is at work on it ends."""
        for _, attempt in [held for held in self.leases if held[0] == pid]:
            self._end(pid, attempt, outcome)
        self.rows[pid].slow = None

    def succeed(self, pid: int, attempt: int) -> bool:
        if not self._holds(pid, attempt):
            return False
        self.rows[pid].status, self.rows[pid].attempt = SUCCEEDED, attempt
        self.outputs.append((pid, attempt))
        self._end(pid, attempt, SUCCEEDED)
        self._end_others(pid, OUTRUN)
        return True

    def succeed_by(self, pid: int, attempt: int) -> bool:
        """Succeed by the result of the first that succeeded, where there is one."""
        made = [other for other, row in self.rows.items() if row.status == SUCCEEDED and other != pid]
        if not self.succeed(pid, attempt):
            return False
        if made:
            self.origins[pid] = min(made)
        return True

    def die_before_commit(self, pid: int, attempt: int) -> None:
        """The worker did all of `succeed` but commit it."""

    def fail(
        self,
        pid: int,
        attempt: int,
        again: bool,
        delayed: bool = False,
        outcome: str = FAILED,
        spared: bool = False,
    ) -> bool:
        """A slow attempt that fails ends alone; another takes with it, where it is the last, a slow one."""
        if not self._holds(pid, attempt):
            return False
        row = self.rows[pid]
        self._end(pid, attempt, outcome)
        if row.slow == attempt:
            row.slow = None
            return True
        row.status = WAITING if again else FAILED
        row.max_attempts += spared
        row.delayed, row.sent = again and delayed, False
        if not again:
            self._end_others(pid, OUTRUN)
        return True

    # Clock

    def expire(self, pid: int) -> None:
        for held, lease in self.leases.items():
            lease.expired |= held[0] == pid

    def expire_one(self, pid: int, attempt: int) -> None:
        if (pid, attempt) in self.leases:
            self.leases[pid, attempt].expired = True

    def let_delays_end(self) -> None:
        for row in self.rows.values():
            row.delayed = False

    # Operator

    def cancel(self, pids: Sequence[int]) -> list[int]:
        changed = sorted(pid for pid in set(pids) if self.rows[pid].status in UNFINISHED)
        for pid in changed:
            self._end_others(pid, CANCELLED)
            self.rows[pid].status, self.rows[pid].propagated = CANCELLED, False
        return changed

    def behind(self, pids: Sequence[int]) -> set[int]:
        """What a retry of ``pids`` is about: what ended without success, and what failed or was skipped behind."""
        found = {pid for pid in pids if self.rows[pid].status in UNSUCCESSFUL}
        while True:
            more = {
                pid
                for pid, row in self.rows.items()
                if pid not in found and row.status in (SKIPPED, FAILED) and found.intersection(row.parents)
            }
            if not more:
                return found
            found |= more

    def without_hope(self, pids: set[int], *, counted: bool) -> set[int]:
        """Of ``pids``, what requires a process outside of it that ended (and was counted so) without success."""
        hopeless: set[int] = set()
        while True:
            lost = {
                parent
                for parent, row in self.rows.items()
                if parent not in pids - hopeless and row.status in UNSUCCESSFUL and (row.propagated or not counted)
            }
            more = {pid for pid in pids - hopeless if lost.intersection(self.rows[pid].node.required)}
            if not more:
                return hopeless
            hopeless |= more

    def retry(self, pids: Sequence[int], revived: Sequence[int] | None = None) -> list[int]:
        """Send back what can run again. Where the end of a failed parent is not counted yet the queries may choose."""
        about = self.behind(pids)
        most = about - self.without_hope(about, counted=True)
        least = about - self.without_hope(about, counted=False)
        changed = most if revived is None else set(revived)
        if not least <= changed <= most:
            raise Violation(f"retry of {list(pids)} changed {sorted(changed)}: expected {sorted(least)}…{sorted(most)}")
        for pid in changed:
            row = self.rows[pid]
            row.status, row.propagated, row.delayed, row.sent = WAITING, False, False, False
            row.max_attempts = row.attempt + MORE_ATTEMPTS
        for pid, row in self.rows.items():
            if row.status == WAITING and (pid in changed or changed.intersection(row.parents)):
                row.pending, row.released = self.uncounted_parents(pid), False
        return sorted(changed)

    def pause(self, queue: Queue) -> None:
        self.paused.add(queue)
        for row in self.rows.values():
            if row.node.queue == queue and row.status == QUEUED:
                row.status, row.sent = WAITING, False

    def resume(self, queue: Queue) -> None:
        self.paused.discard(queue)
