"""What was measured, as a Markdown table."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.engine.report import Goal, number


@dataclass(frozen=True)
class Measured:
    """One thing: by the clock, and by CPU of client and server, in the unit of ``what``."""

    what: str
    clock: float
    cpu: float
    goal: Goal | None = None


def markdown(title: str, rows: Iterable[Measured]) -> str:
    """A heading and a table."""
    lines = [f"### {title}", "", "| measured | by the clock | by CPU | goal |", "| --- | ---: | ---: | --- |"]
    lines += [f"| {row.what} | {number(row.clock)} | {number(row.cpu)} | {row.goal or ''} |" for row in rows]
    return "\n".join([*lines, ""])
