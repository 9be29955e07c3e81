"""From the end of a process to the start of the one that waits for it, when there is nothing else to do."""

from itertools import pairwise

from bench.engine import graphs
from bench.engine.report import Goal, Row, percentile
from bench.engine.stack import Stack

MS = 1000.0
P50, P99 = Goal(10.0), Goal(50.0)  # ms


def measure(stack: Stack, length: int, repeats: int) -> list[Row]:
    """p50, p99 and the longest of each of ``repeats`` chains, with one consumer."""
    stack.start(1)
    runs = []
    for _ in range(repeats):
        processes = graphs.chain(length)
        stack.drain(processes)
        runs.append(
            [MS * (child.start - parent.end) for parent, child in pairwise(stack.times(processes[0].pid, length))]
        )
    what = f"end of a process to start of its child (chain of {length:,})"
    return [
        Row(f"{what}, p50", "ms", [percentile(run, 50) for run in runs], P50),
        Row(f"{what}, p99", "ms", [percentile(run, 99) for run in runs], P99),
        Row(f"{what}, longest", "ms", [max(run) for run in runs]),
    ]
