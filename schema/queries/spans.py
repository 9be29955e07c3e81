"""Many ids in few conditions: a range costs the database and its driver a tenth of a list."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement

from schema.queries.scheduling import chunks

LONG = 100  # ids, from which on a range is worth a statement of its own
DENSE = 8  # wanted ids for each that lies between them and is not

Span = range | Sequence[int]  # all from the first to the last, or these alone


def spans(ids: Collection[int]) -> list[Span]:
    """Spans that together hold all of ``ids``; a range may hold some besides, an eighth at most."""
    found: list[Span] = []
    single: list[int] = []
    run: list[int] = []

    def end() -> None:
        if len(run) >= LONG:
            found.append(range(run[0], run[-1] + 1))
        else:
            single.extend(run)

    for one in sorted(ids):
        if run and (one - run[0] + 1 - len(run) - 1) * DENSE > len(run):
            end()
            run = []
        run.append(one)
    end()
    return [*found, *chunks(single)]


def within(column: Any, span: Span) -> ColumnElement[bool]:
    """Whether a column's value is of a span."""
    condition: ColumnElement[bool] = column.between(span[0], span[-1]) if isinstance(span, range) else column.in_(span)
    return condition
