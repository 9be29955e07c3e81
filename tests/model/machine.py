"""Random lives of processes: every action at any time, crashes and an untrustworthy broker included."""

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schema.processes import FINISHED
from tests.model import defects
from tests.model.both import Both
from tests.model.reference import UNSUCCESSFUL, Model, Node, Queue
from tests.model.sql import QUEUES, Sql
from tests.model.world import ENDS, SUCCESS, TRANSIENT, World

MOST_PROCESSES = 12
LIMITS = st.sampled_from([1, 2, 1000])
# Rare ones are drawn less often; shrinking goes to the first.
HOW = st.sampled_from([SUCCESS] * 2 + list(ENDS))


class LifeMachine(RuleBasedStateMachine):
    """Does at random what can be done, on the model and on the database."""

    def __init__(self, sql: Sql) -> None:
        super().__init__()
        sql.clear()
        self.both = Both(sql, Model(QUEUES))
        self.world = World(self.both.perform)

    @invariant()
    def model_and_database_agree(self) -> None:
        self.both.compare()

    def teardown(self) -> None:
        rows = self.both.model.rows.values()
        attempts = sum(max(row.max_attempts - row.attempt, 1) for row in rows if row.status not in FINISHED)
        self.world.drain(self._status, QUEUES, rounds=attempts + len(rows) + 1, window=1)
        self.both.compare()

    def _status(self) -> dict[int, str]:
        return {pid: row.status for pid, row in self.both.model.rows.items()}

    # Publisher

    @initialize(data=st.data(), size=st.integers(2, 5))
    def first_graph(self, data: st.DataObject, size: int) -> None:
        self._publish(data, size, "here")

    @precondition(lambda self: len(self.both.model.rows) < MOST_PROCESSES)
    @rule(data=st.data(), size=st.integers(1, 5), site=st.sampled_from(["here", "there"]))
    def publish(self, data: st.DataObject, size: int, site: str) -> None:
        self._publish(data, size, site)

    def _publish(self, data: st.DataObject, size: int, site: str) -> None:
        first = len(self.both.model.rows) + 1
        nodes = []
        for pid in range(first, first + size):
            parents = data.draw(st.dictionaries(st.integers(1, pid - 1), st.booleans(), max_size=3)) if pid > 1 else {}
            node = Node(
                pid,
                (site, data.draw(st.sampled_from(["cpu", "gpu"]))),
                tuple(sorted(parent for parent, required in parents.items() if required)),
                tuple(sorted(parent for parent, required in parents.items() if not required)),
                priority=data.draw(st.integers(-1, 1)),
                max_attempts=data.draw(st.integers(1, 3)),
            )
            if defects.PUBLISHED_BEHIND_A_FAILURE in defects.OPEN and self.both.model.hopeless(node):
                node = replace(node, required=(), optional=tuple(sorted(parents)))
            nodes.append(node)
        self.world.publish(nodes)

    # Manager

    @rule(limit=LIMITS)
    def propagate(self, limit: int) -> None:
        self.both.perform("propagate", limit)

    @precondition(lambda self: self.world.manager_is_idle)
    @rule(unsent=st.booleans(), limit=LIMITS)
    def take(self, unsent: bool, limit: int) -> None:
        (self.world.take_unsent if unsent else self.world.take)(limit)

    @precondition(lambda self: not self.world.manager_is_idle)
    @rule(most=LIMITS, dies=st.sampled_from([False, False, True]))
    def send_or_mark(self, most: int, dies: bool) -> None:
        """The next thing after taking; the manager may die after it."""
        if self.world.to_send:
            self.world.send(most)
        else:
            self.world.mark()
        if dies:
            self.world.kill_manager()

    @precondition(lambda self: not self.world.manager_is_idle)
    @rule()
    def kill_manager(self) -> None:
        self.world.kill_manager()

    @rule()
    def sweep(self) -> None:
        self.both.perform("free_expired")
        self.world.find_lost()

    # Long ways that steps drawn one by one seldom go to their end

    def _cycle(self) -> None:
        while not self.world.manager_is_idle:
            self.world.send(1000)
            self.world.mark()
        while self.both.perform("propagate", 1000):
            pass
        for source in (self.world.take_unsent, self.world.take):
            source(1000)
            self.world.send(1000)
            self.world.mark()

    @rule()
    def cycle(self) -> None:
        """All that a manager does in a quiet hour."""
        self._cycle()

    @precondition(lambda self: self.world.broker and self.world.idle)
    @rule(data=st.data(), how=HOW)
    def work(self, data: st.DataObject, how: str) -> None:
        """A worker takes something and ends it."""
        worker = self._deliver(data, answer_lost=False)
        if self.world.workers[worker] is not None:
            self.world.end(worker, how)

    @precondition(lambda self: self.world.busy and self.world.idle)
    @rule(data=st.data(), how=HOW)
    def run_twice_at_once(self, data: st.DataObject, how: str) -> None:
        """A worker seemed dead and was not: another gets its process while it works on, renews and ends."""
        first = data.draw(st.sampled_from(self.world.busy))
        held = self.world.workers[first]
        assert held is not None
        self.both.perform("expire", held.pid)
        self.both.perform("free_expired")
        self._cycle()
        again = (held.pid, held.attempt + 1)
        if again in self.world.broker:
            self.world.deliver(again, self.world.idle[0])
            self.both.perform("expire", held.pid)  # or a renewal by the wrong one would not show
            self.world.renew(first)
            self.both.compare()
            self.world.end(first, how)

    @precondition(lambda self: self.world.busy and self.world.idle)
    @rule(data=st.data(), first_how=HOW, how=HOW, slow_first=st.booleans())
    def race(self, data: st.DataObject, first_how: str, how: str, slow_first: bool) -> None:
        """Another works on it beside a slow one; both renew, one ends, then the other."""
        slow = data.draw(st.sampled_from(self.world.busy))
        held = self.world.workers[slow]
        assert held is not None
        if not self.both.perform("offer_second", held.pid, held.attempt):
            return
        self._cycle()
        second = (held.pid, held.attempt + 1)
        if second not in self.world.broker:
            return
        fast = data.draw(st.sampled_from(self.world.idle))
        beside = slow.split("/")[0] + "/1"  # of the same consumer
        assert self.both.perform("claim", *second, beside) is None
        assert self.both.perform("hand_on", *second)
        self.world.deliver(second, fast)
        self.both.compare()
        if self.world.workers[fast] is None:
            return
        assert not self.both.perform("offer_second", *second)
        self.both.perform("claim", held.pid, held.attempt, slow)  # as who did not get the answer
        self.world.renew(slow)
        self.world.renew(fast)
        for worker, end in zip((slow, fast) if slow_first else (fast, slow), (first_how, how), strict=True):
            self.world.end(worker, end)
            self.both.compare()

    @precondition(lambda self: self.both.model.leases)
    @rule(data=st.data())
    def offer_second(self, data: st.DataObject) -> None:
        self.both.perform("offer_second", *data.draw(st.sampled_from(sorted(self.both.model.leases))))

    # Broker and workers

    def _deliver(self, data: st.DataObject, answer_lost: bool) -> str:
        message = data.draw(st.sampled_from(sorted(self.world.broker)))
        worker = data.draw(st.sampled_from(self.world.idle))
        self.world.deliver(message, worker, answer_lost=answer_lost)
        return worker

    @precondition(lambda self: self.world.broker and self.world.idle)
    @rule(data=st.data(), answer_lost=st.booleans())
    def deliver(self, data: st.DataObject, answer_lost: bool) -> None:
        self._deliver(data, answer_lost)

    @precondition(lambda self: self.both.model.attempts and self.world.idle)
    @rule(data=st.data(), later=st.integers(0, 1))
    def deliver_from_the_past(self, data: st.DataObject, later: int) -> None:
        pid, attempt = data.draw(st.sampled_from(sorted(self.both.model.attempts)))
        self.world.broker.append((pid, attempt + later))
        self.world.deliver((pid, attempt + later), self.world.idle[0])

    @precondition(lambda self: self.world.broker)
    @rule(data=st.data(), double=st.booleans())
    def lose_or_double(self, data: st.DataObject, double: bool) -> None:
        message = data.draw(st.sampled_from(sorted(self.world.broker)))
        if double:
            self.world.broker.append(message)
        else:
            self.world.broker.remove(message)

    @precondition(lambda self: self.world.busy)
    @rule(data=st.data(), how=HOW)
    def end(self, data: st.DataObject, how: str) -> None:
        self.world.end(data.draw(st.sampled_from(self.world.busy)), how)

    @precondition(lambda self: self.world.busy)
    @rule(data=st.data(), disconnects=st.booleans())
    def live_on(self, data: st.DataObject, disconnects: bool) -> None:
        """A worker renews its lease, or its consumer loses the broker."""
        worker = data.draw(st.sampled_from(self.world.busy))
        (self.world.disconnect if disconnects else self.world.renew)(worker)

    # Clock

    @precondition(lambda self: self.both.model.leases)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        self.both.perform("expire_one", *data.draw(st.sampled_from(sorted(self.both.model.leases))))

    @precondition(lambda self: any(row.delayed for row in self.both.model.rows.values()))
    @rule()
    def let_delays_end(self) -> None:
        self.both.perform("let_delays_end")

    # Operator

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        pids = data.draw(st.lists(st.sampled_from(sorted(self.both.model.rows)), min_size=1, max_size=3))
        self.both.perform("cancel", tuple(pids))

    def _unsuccessful(self) -> list[int]:
        return sorted(pid for pid, row in self.both.model.rows.items() if row.status in UNSUCCESSFUL)

    @precondition(lambda self: self._unsuccessful())
    @rule(data=st.data(), more=st.lists(st.integers(1, MOST_PROCESSES), max_size=2))
    def retry(self, data: st.DataObject, more: list[int]) -> None:
        """Of something that can come back, and of what may be in any state."""
        pids = [data.draw(st.sampled_from(self._unsuccessful())), *more]
        self.both.perform("retry", tuple(pid for pid in pids if pid in self.both.model.rows))

    @precondition(lambda self: self.world.busy and self._unsuccessful())
    @rule(data=st.data())
    def retry_behind_a_runner(self, data: st.DataObject) -> None:
        """Its optional parent comes back while it runs; then it fails, waits again, and the parent ends."""
        held = self.world.workers[worker := data.draw(st.sampled_from(self.world.busy))]
        assert held is not None
        parents = set(self.both.model.rows[held.pid].node.optional).intersection(self._unsuccessful())
        self.both.perform("retry", tuple(sorted(parents) or self._unsuccessful()[:1]))
        self.world.end(worker, TRANSIENT)
        self.both.compare()
        self.both.perform("cancel", tuple(sorted(parents)))
        self.both.perform("propagate", 1000)

    @rule(queue=st.sampled_from(QUEUES), verb=st.sampled_from(["resume", "pause", "forget_sent"]))
    def disturb_a_queue(self, queue: Queue, verb: str) -> None:
        """Messages that are forgotten without a reason are sent twice, and nothing worse."""
        self.both.perform(verb, queue)
