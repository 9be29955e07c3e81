"""Ids in ranges and lists: none is lost, and few come along."""

import random

import pytest

from schema.queries.spans import DENSE, LONG, spans

PUBLISHED = 1_764_400_000_000_000_000  # a PID


def runs_of(lengths: list[int], gap: int) -> list[int]:
    ids, first = [], PUBLISHED
    for length in lengths:
        ids += range(first, first + length)
        first += length + gap
    return ids


@pytest.mark.parametrize(
    ("ids", "ranges"),
    [
        ([], 0),
        (runs_of([1, 1, 1], 10**9), 0),
        (runs_of([LONG - 1], 1), 0),
        (runs_of([LONG], 1), 1),
        (runs_of([99] * 50, 1), 1),  # one in a hundred is not wanted
        (runs_of([5000, 5000], 10**9), 2),  # of two publications
        (runs_of([3] * 2500, 8), 0),  # of a night that grows
    ],
)
def test_spans_hold_all_and_few_besides(ids: list[int], ranges: int) -> None:
    shuffled = random.Random(3).sample(ids, len(ids))
    found = spans(shuffled)
    held = {one for span in found for one in span}
    assert held >= set(ids)
    assert sum(isinstance(span, range) for span in found) == ranges
    assert len(held) - len(ids) <= len(ids) / DENSE
    assert sum(len(span) for span in found) == len(held)  # none twice
