"""What the engine's bench computes by itself: percentiles, tables, shapes of graphs, costs out of times."""

import os
from itertools import pairwise

import pytest

from bench.engine import graphs, usage
from bench.engine.facts import DIFFERS
from bench.engine.overhead import between
from bench.engine.report import Goal, Row, number, percentile, table
from bench.engine.scale import cost_left
from bench.engine.stack import Attempt


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0), (1, 1.0), (0.5, 1.0)]
)
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    hundred = [float(value) for value in range(100, 0, -1)]
    assert percentile(hundred, percent) == expected


@pytest.mark.parametrize(("values", "percent"), [([], 50.0), ([1.0], 0.0), ([1.0], 101.0)])
def test_percentile_of_nothing_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="at least one value"):
        percentile(values, percent)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.02345, "0.0234"), (1.2345, "1.23"), (12.345, "12.3"), (123.45, "123"), (20_000.0, "20,000")],
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_table_compares_the_median_with_the_goal() -> None:
    rows = [
        Row("quick", "ms", [4.0, 9.0, 5.0], Goal(5.0)),
        Row("slow", "ms", [4.0, 9.0, 5.1], Goal(5.0)),
        Row("many", "/s", [400.0, 10.0, 500.0], Goal(400.0, at_least=True)),
        Row("few", "/s", [399.0], Goal(400.0, at_least=True)),
        Row("free", "MB", [1.0, 2.0]),
    ]
    lines = table("Title", rows).splitlines()
    assert lines[:2] == ["### Title", ""]
    assert lines[4:] == [
        "| quick | 5.00 ms | 4.00 – 9.00 | 3 | ≤ 5.00: reached |",
        "| slow | 5.10 ms | 4.00 – 9.00 | 3 | ≤ 5.00: **not reached** |",
        "| many | 400 /s | 10.0 – 500 | 3 | ≥ 400: reached |",
        "| few | 399 /s | 399 – 399 | 1 | ≥ 400: **not reached** |",
        "| free | 1.50 MB | 1.00 – 2.00 | 2 |  |",
    ]


def test_chain_needs_the_one_before() -> None:
    chain = graphs.chain(4)
    assert chain[0].required == ()
    assert [child.required for child in chain[1:]] == [(parent.pid,) for parent in chain[:-1]]


def test_band_needs_neighbours_at_its_distance() -> None:
    band = graphs.band(20, distance=5, dependencies=3)
    first = band[0].pid
    needed = [tuple(pid - first for pid in process.required) for process in band]
    assert needed[:8] == [(), (), (), (), (), (0,), (0, 1), (0, 1, 2)]
    assert needed[19] == (12, 13, 14)
    assert graphs.edges(band) == sum(map(len, needed)) == 1 + 2 + 13 * 3


def test_graphs_have_pids_without_gaps() -> None:
    for graph in (graphs.independent(30, priority=7), graphs.chain(30), graphs.band(30, 4, 2)):
        assert all(after.pid == before.pid + 1 for before, after in pairwise(graph))
        assert {process.graph_pid for process in graph} == {graph[0].pid}
    assert {process.priority for process in graphs.independent(3, priority=7)} == {7}


def test_time_between_processes_is_taken_slot_by_slot() -> None:
    # Slot a rests 1 s twice, slot b 4 s once; that both ran side by side does not count.
    times = [Attempt(0, 2, "a"), Attempt(3, 4, "a"), Attempt(5, 6, "a"), Attempt(0, 1, "b"), Attempt(5, 7, "b")]
    assert between(times) == pytest.approx((1 + 1 + 4) / 3)


def test_cost_is_taken_where_so_many_are_left() -> None:
    # 1,000 processes: 10 ms each, the last hundred 30 ms each.
    ends, now = [], 0.0
    for index in range(1000):
        now += 0.01 if index < 900 else 0.03
        ends.append(Attempt(now - 0.001, now, "a"))
    assert cost_left(ends, 1000) == pytest.approx(10.0)
    assert cost_left(ends, 500) == pytest.approx(10.0)
    assert cost_left(ends, 50) == pytest.approx(30.0)


def test_usage_counts_this_process() -> None:
    before = usage.snapshot({"tests": [os.getpid()]}, servers=False)["tests"]
    number_of_rounds = 0
    while usage.cpu_seconds(os.getpid()) < before + 0.05:  # CPU time, not time that passes
        number_of_rounds += sum(range(1000))
    assert usage.snapshot({"tests": [os.getpid()]}, servers=False)["tests"] > before
    assert usage.peak_bytes(os.getpid()) > 10 * 1024**2


@pytest.mark.parametrize(
    ("reply", "name", "value"),
    [
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost '/': received none "
            "but current is the value '' of type 'longstr'",
            "x-dead-letter-exchange",
            "",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value "
            "'stream' of type 'longstr' but current is the value 'quorum' of type 'longstr'",
            "x-queue-type",
            "quorum",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': "
            "received 'classic' but current is 'quorum'",
            "x-queue-type",
            "quorum",
        ),
    ],
)
def test_broker_tells_what_a_queue_is_by_refusing_another(reply: str, name: str, value: str) -> None:
    found = DIFFERS.search(reply)
    assert found is not None
    assert (found["name"], found["value"]) == (name, value)
