"""Functions of ADQL that are answered, each as SQL that both kinds of servers understand alike."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from astropy import units
from sqlalchemy import case, distinct, func, literal
from sqlalchemy.sql import ColumnElement
from sqlglot import exp

from services.vo.adql.typed import Typed, as_double, as_text, constant, require_number, require_text, said
from services.vo.fields import Kind, plain
from services.vo.vo_errors import RefusedError

Sql = ColumnElement[Any]
DIGITS_MOST = 30


@dataclass(frozen=True)
class Call:
    """A function as it is called; ``node`` is for messages."""

    name: str
    nodes: list[exp.Expr]
    values: list[Typed]
    is_sqlite: bool

    def number(self, index: int) -> Sql:
        """An argument as a number with a point."""
        return as_double(require_number(self.values[index], self.nodes[index]))


def _double(value: float) -> Sql:
    return literal(float(value), Kind.DOUBLE.sql_type)


def _mathematical(name: str, unit: str = "") -> Callable[[Call], Typed]:
    """A function of numbers that SQL calls the same or so."""

    def build(call: Call) -> Typed:
        arguments = [call.number(index) for index in range(len(call.values))]
        return Typed(getattr(func, name)(*arguments), plain(Kind.DOUBLE, unit))

    return build


def _abs(call: Call) -> Typed:
    [value] = call.values
    require_number(value, call.nodes[0])
    return Typed(func.abs(value.sql), plain(value.field.kind, value.field.unit))


def _cot(call: Call) -> Typed:
    return Typed(_double(1) / func.tan(call.number(0)), plain(Kind.DOUBLE))


def _mod(call: Call) -> Typed:
    for value, node in zip(call.values, call.nodes, strict=True):
        require_number(value, node)
    whole = all(value.field.kind.is_whole for value in call.values)
    left, right = (value.sql for value in call.values) if whole else (call.number(0), call.number(1))
    return Typed(left % right if whole else func.mod(left, right), plain(Kind.LONG if whole else Kind.DOUBLE))


def _pi(_: Call) -> Typed:
    return Typed(_double(math.pi), plain(Kind.DOUBLE))


def _rand(call: Call) -> Typed:
    if call.is_sqlite:  # whole numbers of 64 bits
        return Typed(func.random() / _double(2.0**64) + _double(0.5), plain(Kind.DOUBLE))
    return Typed(func.rand(), plain(Kind.DOUBLE))


def _scale(call: Call) -> Sql:
    digits = constant(call.nodes[1]) if len(call.nodes) > 1 else 0
    if not isinstance(digits, int) or abs(digits) > DIGITS_MOST:
        raise RefusedError(f"{call.name} expects a whole number of digits, found {said(call.nodes[1])}")
    return _double(10.0**digits)


def _round(call: Call) -> Typed:
    scale, value = _scale(call), call.number(0)
    up = func.floor(func.abs(value) * scale + _double(0.5)) / scale
    return Typed(case((value < _double(0), -up), else_=up), plain(Kind.DOUBLE, call.values[0].field.unit))


def _truncate(call: Call) -> Typed:
    scale, value = _scale(call), call.number(0)
    down = func.floor(func.abs(value) * scale) / scale
    return Typed(case((value < _double(0), -down), else_=down), plain(Kind.DOUBLE, call.values[0].field.unit))


def _case_of(name: str) -> Callable[[Call], Typed]:
    def build(call: Call) -> Typed:
        text = as_text(require_text(call.values[0], call.nodes[0]))
        return Typed(getattr(func, name)(text), plain(call.values[0].field.kind))

    return build


def _coalesce(call: Call) -> Typed:
    kind = common_kind([value.field.kind for value in call.values], call.name)
    first = call.values[0].field
    return Typed(func.coalesce(*(value.sql for value in call.values)), plain(kind, first.unit, first.ucd))


def _in_unit(call: Call) -> Typed:
    value, wanted = call.values[0], call.nodes[1]
    if not (isinstance(wanted, exp.Literal) and wanted.is_string):
        raise RefusedError("IN_UNIT expects the unit as a text, such as IN_UNIT(ra, 'arcsec')")
    if not value.field.unit:
        raise RefusedError(f"{said(call.nodes[0])} has no unit that is known")
    try:
        factor = units.Unit(value.field.unit).to(units.Unit(wanted.name, format="vounit"))
    except (ValueError, TypeError) as error:
        raise RefusedError(f"{value.field.unit!r} cannot be given in {wanted.name[:40]!r}") from error
    return Typed(call.number(0) * _double(factor), plain(Kind.DOUBLE, wanted.name, value.field.ucd))


def common_kind(kinds: list[Kind], where: str) -> Kind:
    """The kind that holds all of them.

    Raises:
        RefusedError: some are texts and some numbers.
    """
    if len(set(kinds)) == 1:
        return kinds[0]
    if all(kind.is_number for kind in kinds):
        return Kind.LONG if all(kind.is_whole for kind in kinds) else Kind.DOUBLE
    if not any(kind.is_number for kind in kinds):
        return Kind.TEXT
    raise RefusedError(f"{where} mixes texts and numbers")


# How many arguments each takes, and what makes SQL of them.
FUNCTIONS: dict[str, tuple[tuple[int, ...], Callable[[Call], Typed]]] = {
    "ABS": ((1,), _abs),
    "ACOS": ((1,), _mathematical("acos", "rad")),
    "ASIN": ((1,), _mathematical("asin", "rad")),
    "ATAN": ((1,), _mathematical("atan", "rad")),
    "ATAN2": ((2,), _mathematical("atan2", "rad")),
    "CEILING": ((1,), _mathematical("ceiling")),
    "COALESCE": (tuple(range(1, 20)), _coalesce),
    "COS": ((1,), _mathematical("cos")),
    "COT": ((1,), _cot),
    "DEGREES": ((1,), _mathematical("degrees", "deg")),
    "EXP": ((1,), _mathematical("exp")),
    "FLOOR": ((1,), _mathematical("floor")),
    "IN_UNIT": ((2,), _in_unit),
    "LOG": ((1,), _mathematical("ln")),
    "LOG10": ((1,), _mathematical("log10")),
    "LOWER": ((1,), _case_of("lower")),
    "MOD": ((2,), _mod),
    "PI": ((0,), _pi),
    "POWER": ((2,), _mathematical("power")),
    "RADIANS": ((1,), _mathematical("radians", "rad")),
    "RAND": ((0,), _rand),
    "ROUND": ((1, 2), _round),
    "SIN": ((1,), _mathematical("sin")),
    "SQRT": ((1,), _mathematical("sqrt")),
    "TAN": ((1,), _mathematical("tan")),
    "TRUNCATE": ((1, 2), _truncate),
    "UPPER": ((1,), _case_of("upper")),
}


def aggregate(name: str, value: Typed | None, node: exp.Expr | None, *, is_distinct: bool) -> Typed:
    """COUNT, SUM, AVG, MIN or MAX; ``value`` is None for COUNT(*)."""
    if value is None or node is None:
        if name != "COUNT":
            raise RefusedError(f"{name}(*) is no function: expected COUNT(*)")
        return Typed(func.count(), plain(Kind.LONG, ucd="meta.number"))
    field, sql = value.field, distinct(value.sql) if is_distinct else value.sql
    if name == "COUNT":
        return Typed(func.count(sql), plain(Kind.LONG, ucd="meta.number"))
    if name in ("MIN", "MAX"):
        return Typed(getattr(func, name.lower())(sql), replace(field, name="", description=""))
    require_number(value, node)
    kind = Kind.LONG if name == "SUM" and field.kind.is_whole else Kind.DOUBLE
    return Typed(getattr(func, name.lower())(sql), plain(kind, field.unit, field.ucd))


AGGREGATES = ("AVG", "COUNT", "MAX", "MIN", "SUM")


def has_aggregates(query: exp.Select) -> bool:
    """Whether this SELECT, not one in it, aggregates."""

    def has(node: exp.Expr) -> bool:
        if isinstance(node, exp.Query):
            return False
        if isinstance(node, exp.Anonymous) and node.name.upper() in AGGREGATES:
            return True
        return any(has(child) for child in node.iter_expressions())

    having, order = query.args.get("having"), query.args.get("order")
    return any(has(one) for one in (*query.expressions, *(part for part in (having, order) if part is not None)))
