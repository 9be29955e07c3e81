"""Cost of a process that does nothing: many are ready before the first consumer may begin."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from bench.engine import graphs
from bench.engine.report import Goal, Row
from bench.engine.stack import Attempt, Stack

MS = 1000.0
EACH_WITH_ONE = Goal(5.0)  # ms a process
RATE_WITH_FOUR = Goal(400.0, at_least=True)  # processes a second, on two cores
GOALS = {1: (EACH_WITH_ONE, None), 4: (None, RATE_WITH_FOUR)}


def between(times: Sequence[Attempt]) -> float:
    """Mean time from the end of a worker's process to the start of its next."""
    by_worker = defaultdict(list)
    for attempt in sorted(times):
        by_worker[attempt.worker].append(attempt)
    return fmean(after.start - before.end for own in by_worker.values() for before, after in pairwise(own))


def measure(stack: Stack, consumers: int, count: int, repeats: int) -> list[Row]:
    """Rows for one number of consumers."""
    stack.start(consumers)
    series: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(repeats):
        processes = graphs.independent(count)
        with stack.held_back():
            stack.publish(processes)
        before = stack.cpu_seconds()
        stack.wait_finished()
        after = stack.cpu_seconds()
        times = stack.times(processes[0].pid, count)
        each = (max(one.end for one in times) - min(one.start for one in times)) / count
        series["overhead", "ms/process"].append(MS * each)
        series["throughput", "processes/s"].append(1.0 / each)
        series["… of it from claim to finish, in one slot", "ms"].append(
            MS * fmean(one.end - one.start for one in times)
        )
        series["… of it from finish to next claim, in one slot", "ms"].append(MS * between(times))
        for name in after:
            series[f"CPU of {name}", "ms/process"].append(MS * (after[name] - before[name]) / count)
    each_goal, rate_goal = GOALS.get(consumers, (None, None))
    goals = {"overhead": each_goal, "throughput": rate_goal}
    title = f"{consumers} consumer{'s' if consumers > 1 else ''}"
    return [Row(f"{title}: {what}", unit, values, goals.get(what)) for (what, unit), values in series.items()]
