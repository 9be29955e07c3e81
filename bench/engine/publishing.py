"""Processes published a second: one graph, one transaction, no manager beside it."""

import time

from bench.engine import graphs
from bench.engine.report import Goal, Row
from bench.engine.stack import Stack

RATE = Goal(20_000.0, at_least=True)  # processes a second
DISTANCE, DEPENDENCIES = 5, 3


def measure(stack: Stack, count: int, repeats: int) -> list[Row]:
    """Rows for graphs of ``count`` processes."""
    rates, edges = [], 0
    for _ in range(repeats):
        processes = graphs.band(count, DISTANCE, DEPENDENCIES)
        edges = graphs.edges(processes)
        start = time.perf_counter()
        stack.publish(processes)
        rates.append(count / (time.perf_counter() - start))
    return [Row(f"published, {count:,} processes with {edges:,} dependencies", "processes/s", rates, RATE)]
