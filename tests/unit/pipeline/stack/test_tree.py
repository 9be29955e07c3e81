"""Every leaf is in the tree once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UnusableDataError
from pipeline.stack.tree import fan_in


@given(n=st.integers(1, 5000), fan_out=st.integers(3, 12))
def test_nothing_falls_out_and_nothing_is_alone(n: int, fan_out: int) -> None:
    below = n
    for level in fan_in(n, fan_out):
        assert [child for node in level for child in node] == list(range(below))
        sizes = {len(node) for node in level}
        assert max(sizes) <= fan_out
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= 2 or n == 1
        below = len(level)
    assert below == 1


@given(n=st.integers(2, 5000), fan_out=st.integers(3, 12))
def test_it_is_no_deeper_than_it_must_be(n: int, fan_out: int) -> None:
    depth = len(fan_in(n, fan_out))
    assert fan_out ** (depth - 1) < n <= fan_out**depth


def test_one_more_than_a_full_group_is_kept() -> None:
    assert fan_in(6) == [[range(0, 3), range(3, 6)], [range(0, 2)]]
    assert fan_in(1) == [[range(0, 1)]]


def test_what_makes_no_tree_is_refused() -> None:
    with pytest.raises(UnusableDataError, match="0 images"):
        fan_in(0)
    with pytest.raises(ValueError, match="fan-out 2"):
        fan_in(10, 2)
