"""Expressions of SQL with what is known of their values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import CompoundSelect, FromClause, Select, cast, literal
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.elements import NamedColumn
from sqlglot import exp

from services.vo.fields import Field, Kind, plain
from services.vo.published.published_table import PublishedTable
from services.vo.vo_errors import RefusedError

LARGEST = 2**63 - 1
EXCERPT = 60


@dataclass(frozen=True)
class Origin:
    """The column of a published table that a value is."""

    clause: FromClause
    table: PublishedTable
    name: str

    def zones(self, dec: str, radius: "float | str") -> Sequence[tuple[ColumnElement[Any], ColumnElement[Any]]]:
        """Ranges of cells about this right ascension and a declination of the same row; none where none are known."""
        names = () if self.table.zones is None else self.table.zones(self.name, dec, radius)
        if not names or names[0][0] not in self.clause.c:  # asked for the first time: see translate
            return ()
        return [(self.clause.c[first], self.clause.c[last]) for first, last in names]


@dataclass(frozen=True)
class Typed:
    """An expression, and what its column says of itself."""

    sql: ColumnElement[Any]
    field: Field
    origin: Origin | None = None

    def within(self, rows: FromClause) -> "Typed":
        """The same column of a query that has it under its name."""
        assert isinstance(self.sql, NamedColumn)
        origin = None if self.origin is None else replace(self.origin, clause=rows)
        return Typed(rows.c[self.sql.name], self.field, origin)


@dataclass(frozen=True)
class Compiled:
    """A query whose columns are called c0, c1, … and have these fields; ``top``: rows that it has at most."""

    select: Select[Any] | CompoundSelect[Any]
    fields: tuple[Field, ...]
    top: int | None = None

    def limited(self, most: int) -> Select[Any] | CompoundSelect[Any]:
        """With so many rows at most."""
        return self.select.limit(most if self.top is None else min(most, self.top))


def said(node: exp.Expr) -> str:
    """A part of a query, for a message."""
    return node.sql()[:EXCERPT]


def number_of(literal_text: str) -> int | float:
    """A number as ADQL writes it.

    Raises:
        RefusedError: it is too large.
    """
    if literal_text.isdecimal():
        if len(literal_text) > 19 or int(literal_text) > LARGEST:
            raise RefusedError(f"the number {literal_text[:EXCERPT]} is too large: expected at most {LARGEST}")
        return int(literal_text)
    value = float(literal_text)
    if value in (float("inf"), float("-inf")):
        raise RefusedError(f"the number {literal_text[:EXCERPT]} is too large")
    return value


def of_number(value: float) -> Typed:
    """A number as a bound value."""
    kind = Kind.LONG if isinstance(value, int) else Kind.DOUBLE
    return Typed(literal(value, kind.sql_type), plain(kind))


def as_double(value: Typed) -> ColumnElement[Any]:
    """The same as a number with a point: servers divide whole ones to four digits."""
    return value.sql if value.field.kind.is_real else value.sql * literal(1.0, Kind.DOUBLE.sql_type)


def as_text(value: Typed) -> ColumnElement[Any]:
    """A text."""
    return cast(value.sql, Kind.TEXT.sql_type) if value.field.kind.is_number else value.sql


def require_number(value: Typed, node: exp.Expr) -> Typed:
    """A number, or a refusal."""
    if not value.field.kind.is_number:
        raise RefusedError(f"{said(node)} is a text: expected a number")
    return value


def require_text(value: Typed, node: exp.Expr) -> Typed:
    """A text, or a refusal."""
    if value.field.kind.is_number:
        raise RefusedError(f"{said(node)} is a number: expected a text")
    return value


def constant(node: exp.Expr) -> int | float | None:
    """The number that a part without columns is; None where it is none."""
    if isinstance(node, exp.Literal) and not node.is_string:
        return number_of(node.name)
    if isinstance(node, exp.Paren):
        return constant(node.this)
    if isinstance(node, exp.Neg):
        value = constant(node.this)
        return None if value is None else -value
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div):
        left, right = constant(node.this), constant(node.expression)
        if left is None or right is None:
            return None
        if isinstance(node, exp.Div):
            return left / right if right else None
        return (
            left + right if isinstance(node, exp.Add) else left - right if isinstance(node, exp.Sub) else left * right
        )
    return None
