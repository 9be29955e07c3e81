"""Every life of a small graph: all interleavings of all actions, with so many things that go wrong and no more."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.model.reference import Model, Node
from tests.model.sql import QUEUES
from tests.model.world import DEAD_AFTER_COMMIT, DEAD_BEFORE_COMMIT, FINAL, HIT, SUCCESS, TRANSIENT, World

QUEUE = QUEUES[0]
Operation = tuple[str, tuple[Any, ...]]
Action = Callable[["State"], None]


@dataclass
class State:
    """The model, what surrounds it, and how much may still go wrong."""

    model: Model
    world: World
    faults_left: int

    def copy(self) -> "State":
        model = self.model.copy()
        return State(model, self.world.copy(_on(model)), self.faults_left)

    def database_key(self) -> Hashable:
        """States of the database with the same key allow the same; history that nothing reads is left out."""
        rows = tuple(
            (r.status, r.pending, r.propagated, r.attempt, r.max_attempts, r.sent, r.released, r.slow, r.slow_consumer)
            for r in self.model.rows.values()
        )
        leases = tuple((held, x.worker, x.expired) for held, x in sorted(self.model.leases.items()))
        return rows, leases, bool(self.model.paused)

    def key(self) -> Hashable:
        world = self.world
        workers = tuple((name, h and (h.pid, h.attempt, h.unsettled)) for name, h in sorted(world.workers.items()))
        memory = tuple(world.to_send), tuple(world.to_mark)
        return self.database_key(), tuple(sorted(world.broker)), workers, memory, self.faults_left


def _on(model: Model) -> Callable[..., Any]:
    return lambda operation, *arguments: getattr(model, operation)(*arguments)


def start(nodes: Sequence[Node], faults: int) -> State:
    """A graph that has just been published, one worker or two."""
    model = Model(QUEUES)
    world = World(_on(model))
    world.publish(nodes)
    return State(model, world, faults)


def _usual(state: State) -> Iterator[Action]:
    """What a manager and workers do when all goes well."""
    model, world = state.model, state.world
    yield lambda s: s.world.perform("propagate", 1)
    if world.manager_is_idle:
        yield lambda s: s.world.take(100)
        yield lambda s: s.world.take_unsent(100)
    elif world.to_send:
        yield lambda s: s.world.send(1)
    else:
        yield lambda s: s.world.mark()
    if any(row.sent for row in model.rows.values()):
        yield lambda s: s.world.find_lost()
    if any(lease.expired for lease in model.leases.values()):
        yield lambda s: s.world.perform("free_expired")
    for message in set(world.broker):
        for worker in world.idle[:1]:
            yield lambda s, m=message, w=worker: s.world.deliver(m, w)  # type: ignore[misc]
    for worker in world.busy:
        for how in (SUCCESS, HIT, TRANSIENT, FINAL):  # not SPARED: it never ends
            yield lambda s, w=worker, h=how: s.world.end(w, h)  # type: ignore[misc]


def _faulty(state: State) -> Iterator[Action]:
    """What goes wrong, and what operators do."""
    model, world = state.model, state.world
    if not world.manager_is_idle:
        yield lambda s: s.world.kill_manager()
    for message in set(world.broker):
        yield lambda s, m=message: s.world.broker.append(m)  # type: ignore[misc]
        yield lambda s, m=message: s.world.broker.remove(m)  # type: ignore[misc]
    for worker in world.busy:
        yield lambda s, w=worker: s.world.disconnect(w)  # type: ignore[misc]
        for how in (DEAD_BEFORE_COMMIT, DEAD_AFTER_COMMIT):
            yield lambda s, w=worker, h=how: s.world.end(w, h)  # type: ignore[misc]
    for held in model.leases:
        for verb in ("expire_one", "offer_second"):
            yield lambda s, v=verb, h=held: s.world.perform(v, *h)  # type: ignore[misc]
    for pid in model.rows:
        for verb in ("cancel", "retry"):
            yield lambda s, v=verb, p=pid: s.world.perform(v, (p,))  # type: ignore[misc]
    verb = "resume" if model.paused else "pause"
    yield lambda s: s.world.perform(verb, QUEUE)


def explore(first: State, on_operation: Callable[[State, Operation], None]) -> Iterator[State]:
    """Every state that can be reached; tells each operation with the state before it."""
    found, open_states = {first.key()}, deque([first])
    while open_states:
        state = open_states.popleft()
        yield state
        actions = [(action, 0) for action in _usual(state)]
        if state.faults_left:
            actions += [(action, 1) for action in _faulty(state)]
        for action, cost in actions:
            after = state.copy()
            after.world.perform = partial(_tell, after, on_operation)
            action(after)
            after.world.perform = _on(after.model)
            after.faults_left -= cost
            if after.key() not in found:
                found.add(after.key())
                open_states.append(after)


def _tell(state: State, on_operation: Callable[[State, Operation], None], operation: str, *arguments: Any) -> Any:
    on_operation(state, (operation, arguments))
    return getattr(state.model, operation)(*arguments)
