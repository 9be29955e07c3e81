"""A graph of a survey's size in one transaction, drained: does a process cost the same from first to last?"""

import multiprocessing
import os
import time
from collections.abc import Sequence

from bench.engine import graphs, usage
from bench.engine.report import Row
from bench.engine.stack import Attempt, Stack
from schema import database
from schema.queries import choices, publishing
from services.choices import Choices

CONSUMERS = 4
DISTANCE, DEPENDENCIES = 1000, 10
PARTS = (1, 10, 100)  # the cost is shown when 1/1, 1/10, 1/100 of the processes are left
WINDOW_PART = 100  # and is a mean over 1/100 of them
POLL_S = 2.0
MB, MS = 1e6, 1000.0


def publish(url: str, site: str, count: int) -> tuple[int, int, float, float]:
    """In a process of its own: first PID, dependencies, seconds, and peak memory (MB) of the publisher."""
    processes = graphs.band(count, DISTANCE, DEPENDENCIES)
    sessions = database.session_factory(database.connect(url))
    start = time.perf_counter()
    with sessions.begin() as session:
        publishing.publish(session, processes, site=site, choices_id=choices.keep(session, "any", Choices().text()))
    seconds = time.perf_counter() - start
    return processes[0].pid, graphs.edges(processes), seconds, usage.peak_bytes(os.getpid()) / MB


def cost_left(times: Sequence[Attempt], left: int) -> float:
    """ms a process over the window that begins when ``left`` processes are not finished."""
    ends = sorted(one.end for one in times)
    start = len(ends) - left
    window = min(max(len(ends) // WINDOW_PART, 1), left - 1)
    return MS * (ends[start + window] - ends[start]) / window


def measure(stack: Stack, count: int) -> list[Row]:
    """Rows for one graph of ``count`` processes."""
    stack.start(CONSUMERS)
    url = stack.settings.database_url.get_secret_value()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        first, edges, seconds, memory = pool.apply(publish, (url, stack.settings.site, count))
    published = stack.now()
    stack.wait_finished(POLL_S)
    times = stack.times(first, count)
    assert stack.manager is not None
    what = f"{count:,} processes, {edges:,} dependencies"
    total = max(one.end for one in times) - min(one.start for one in times)
    return [
        Row(f"{what}: published", "processes/s", [count / seconds]),
        Row(f"{what}: peak memory of the publisher", "MB", [memory]),
        Row(f"{what}: published to first start", "s", [min(one.start for one in times) - published]),
        Row(f"{what}: drained by {CONSUMERS} consumers", "processes/s", [count / total]),
        *(Row(f"… {count // part:,} unfinished", "ms/process", [cost_left(times, count // part)]) for part in PARTS),
        Row(f"{what}: peak memory of the manager", "MB", [usage.peak_bytes(stack.manager.pid) / MB]),
    ]
