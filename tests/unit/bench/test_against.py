"""Figures of two commits, a pair a round."""

import pytest

from bench.against import ROW, is_worse, report
from bench.engine.report import Row, table


def test_rows_of_a_table_are_read_again() -> None:
    printed = table(
        "Overhead", [Row("1 consumer: overhead", "ms", [2.0, 3.0]), Row("published", "processes/s", [20_500.0])]
    )
    found = {row["what"]: (row["value"], row["unit"]) for row in ROW.finditer(printed)}
    assert found == {"1 consumer: overhead": ("2.50", "ms"), "published": ("20,500", "processes/s")}


@pytest.mark.parametrize(
    ("ratios", "unit", "worse"),
    [
        ([1.06, 1.10, 1.01], "s", True),
        ([1.06, 1.10, 0.99], "s", False),  # one round says otherwise
        ([1.04, 1.04, 1.10], "s", False),
        ([1.06, 1.10, 1.01], "processes/s", False),
        ([0.94, 0.90, 0.97], "processes/s", True),
        ([0.94, 0.90, 0.97], "s", False),
    ],
)
def test_what_became_worse_is_told_from_noise(ratios: list[float], unit: str, worse: bool) -> None:
    assert is_worse(ratios, unit) is worse


def test_only_what_both_measured_in_all_rounds_is_compared() -> None:
    before = {"run": (2.0, "s"), "gone": (1.0, "s"), "nothing": (0.0, "MB")}
    pairs = [(before, {"run": (4.0, "s"), "new": (1.0, "s"), "nothing": (0.0, "MB")})] * 2
    lines = report("abc", "def", pairs)
    assert lines[2:3] == ["| run | 2.00 s | 4.00 s | 2.00 | 2.00 – 2.00 |"]
    assert lines[3:] == ["", "worse in each of 2 rounds, by more than 5% in their median: run (2.00, 2.00 – 2.00)"]
