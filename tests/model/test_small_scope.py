"""Small graphs: every interleaving, with up to so many faults. The model is sound in each state and ends from each;
the database does as the model, in each state (or, to save time, in every so-many-th of them).

A fault is a death, a lost or doubled message, an expired lease, a verb of an operator. The faults are few because a
fault of the engine shows with few; the random tests have many.
"""

import os
from collections.abc import Hashable

import pytest

from schema.processes import FINISHED
from tests.model.both import Both
from tests.model.exploring import QUEUE, Operation, State, explore, start
from tests.model.facts import check, facts_of
from tests.model.reference import Model, Node
from tests.model.sql import QUEUES, Sql
from tests.model.test_machine import EXAMPLES_VARIABLE

# Processes, faults, and of how many states of the database one is looked at unless TIANYU_TEST_MODEL_EXAMPLES is set.
GRAPHS = {
    "alone": ([Node(1, QUEUE, max_attempts=2)], 2, 5),
    "chain": ([Node(1, QUEUE, max_attempts=2), Node(2, QUEUE, required=(1,), max_attempts=1)], 1, 8),
    "required and optional": (
        [Node(1, QUEUE, max_attempts=1), Node(2, QUEUE, max_attempts=1), Node(3, QUEUE, (1,), (2,), max_attempts=1)],
        1,
        40,
    ),
}


def drained(state: State) -> None:
    state = state.copy()
    rows = state.model.rows
    rounds = sum(row.max_attempts - row.attempt + 1 for row in rows.values()) + len(rows) + 1
    state.world.drain(lambda: {pid: row.status for pid, row in rows.items()}, QUEUES, rounds, window=1)
    assert all(row.status in FINISHED for row in rows.values())


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
def test_every_life_of_a_small_graph(graph: str, sql: Sql) -> None:
    nodes, faults, stride = GRAPHS[graph]
    if EXAMPLES_VARIABLE in os.environ:
        stride = 1
    dependences = {node.pid: (node.required, node.optional) for node in nodes}
    steps: dict[Hashable, tuple[Model, set[Operation]]] = {}

    def note(state: State, operation: Operation) -> None:
        key = state.database_key()
        if key not in steps:
            steps[key] = state.model.copy(), set()
        steps[key][1].add(operation)

    for state in explore(start(nodes, faults), note):
        check(facts_of(state.model), dependences)
        drained(state)
    for model, operations in list(steps.values())[::stride]:
        sql.load(model)
        for operation, arguments in sorted(operations):
            with sql.undone():
                both = Both(sql, model.copy())
                both.perform(operation, *arguments)
                both.compare()
