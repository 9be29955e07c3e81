"""A table as data: for people as columns, for machines as one object a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from rich.table import Table
from rich.text import Text

from services.cli.console import table_of

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One fact of each row.

    Attributes:
        key: its name for machines, snake_case with the unit.
        value: the fact itself, not rounded; None where there is none.
        heading: its name for people; None: it is for machines alone.
        form: how people read it: a format of numbers, which stand at the right, or a function.
        scale: what numbers are divided by before people read them.
        wrapped: whether a long text may take several lines.
    """

    key: str
    value: Callable[[Row], Any]
    heading: str | None = None
    form: str | Callable[[Any], str | Text] = ""
    wrapped: bool = False
    scale: float = 1

    def text(self, row: Row) -> str | Text:
        """As it is shown; what there is none of is empty."""
        value = self.value(row)
        if value is None:
            return ""
        if callable(self.form):
            return self.form(value)
        return format(value if self.scale == 1 else value / self.scale, self.form)

    @property
    def is_number(self) -> bool:
        """Whether it stands at the right."""
        return isinstance(self.form, str) and self.form != ""


def table_for_people(columns: Sequence[Column[Row]], rows: Sequence[Row], title: str | None = None) -> Table:
    """The rows in columns that have a heading."""
    shown = [column for column in columns if column.heading is not None]
    headings = [str(column.heading) for column in shown]
    right = [str(column.heading) for column in shown if column.is_number]
    wrapped = [str(column.heading) for column in shown if column.wrapped]
    table = table_of(*headings, right=right, wrapped=wrapped, title=title)
    for row in rows:
        table.add_row(*(column.text(row) for column in shown))
    return table


def records(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """An object a row, with all columns."""
    return [{column.key: _plain(column.value(row)) for column in columns} for row in rows]


def _plain(value: Any) -> Any:
    """Times as ISO 8601, UTC."""
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    return value.isoformat() if isinstance(value, date) else value
