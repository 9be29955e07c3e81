"""Measured rows and the Markdown tables that they make. Goals stand beside what was measured, never in its place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Goal:
    """What a median should reach: at most or at least ``limit``, in the unit of its row."""

    limit: float
    at_least: bool = False

    def reached(self, value: float) -> bool:
        """Whether ``value`` is good enough."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.limit)}"


@dataclass(frozen=True)
class Row:
    """One thing measured, one value a repeat."""

    what: str
    unit: str
    values: Sequence[float]
    goal: Goal | None = None


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` % of ``values`` do not exceed (nearest rank, no interpolation)."""
    if not values or not 0.0 < percent <= 100.0:
        raise ValueError(
            f"percentile {percent} of {len(values)} values: expected one of (0, 100] and at least one value"
        )
    return sorted(values)[math.ceil(len(values) * percent / 100.0) - 1]


def number(value: float) -> str:
    """Three significant digits, thousands with commas, no exponents."""
    if value == 0.0 or abs(value) >= 100.0:
        return f"{value:,.0f}"
    return f"{value:.{max(2 - math.floor(math.log10(abs(value))), 0)}f}"


def table(title: str, rows: Sequence[Row]) -> str:
    """A heading and a Markdown table: median, range and number of repeats, goal and whether the median reached it."""
    lines = [f"### {title}", "", "| measured | median | range | repeats | goal |", "| --- | ---: | ---: | ---: | --- |"]
    for row in rows:
        middle = median(row.values)
        spread = f"{number(min(row.values))} – {number(max(row.values))}"
        goal = "" if row.goal is None else f"{row.goal}: {'reached' if row.goal.reached(middle) else '**not reached**'}"
        lines.append(f"| {row.what} | {number(middle)} {row.unit} | {spread} | {len(row.values)} | {goal} |")
    return "\n".join([*lines, ""])


def facts_table(title: str, facts: dict[str, str]) -> str:
    """A heading and a Markdown table of names and what was found."""
    lines = [f"### {title}", "", "| fact | found |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in facts.items()), ""])
