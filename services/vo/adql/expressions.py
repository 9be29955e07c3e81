"""Values and conditions of ADQL as SQL: one rule for each construct that is known, and a refusal for all others."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import and_, case, func, literal, not_, null, or_
from sqlalchemy.sql import ColumnElement
from sqlglot import exp

from services.vo.adql.adql_functions import AGGREGATES, FUNCTIONS, Call, aggregate, common_kind
from services.vo.adql.scopes import Scope
from services.vo.adql.sky_sql import Near, Sky, distance, reach
from services.vo.adql.typed import (
    Compiled,
    Typed,
    as_double,
    as_text,
    constant,
    number_of,
    of_number,
    require_number,
    require_text,
    said,
)
from services.vo.fields import Kind, plain
from services.vo.vo_errors import RefusedError

Sql = ColumnElement[Any]
ESCAPE = "|"  # of patterns; ADQL has none
GLOB_SIGNS = "[*?"
PREDICATES = ("CONTAINS", "INTERSECTS")
COMPARED: dict[type[exp.Expr], Callable[[Any, Any], Any]] = {
    exp.EQ: lambda a, b: a == b,
    exp.NEQ: lambda a, b: a != b,
    exp.LT: lambda a, b: a < b,
    exp.LTE: lambda a, b: a <= b,
    exp.GT: lambda a, b: a > b,
    exp.GTE: lambda a, b: a >= b,
}
TURNED = {exp.GT: exp.LT, exp.GTE: exp.LTE}


class Expressions:
    """Of one SELECT."""

    def __init__(self, scope: Scope, query: Callable[[exp.Query, Scope], Compiled], *, is_sqlite: bool) -> None:
        self._scope, self._query, self._is_sqlite = scope, query, is_sqlite
        self._sky = Sky(self.value)
        self._grouped: list[exp.Expr] | None = None
        self._in_aggregate = False

    def group_by(self, nodes: list[exp.Expr]) -> list[Sql]:
        """From here on columns must be among ``nodes``, or within an aggregate."""
        found = [self.value(node).sql for node in nodes]
        self._grouped = nodes
        return found

    @property
    def is_grouped(self) -> bool:
        """Whether columns must be in GROUP BY or within an aggregate."""
        return self._grouped is not None

    # Values

    def value(self, node: exp.Expr) -> Typed:
        """A number or text."""
        if self._grouped is not None and not self._in_aggregate and node in self._grouped:
            kept, self._grouped = self._grouped, None
            try:
                return self.value(node)
            finally:
                self._grouped = kept
        rule = self._VALUES.get(type(node))
        if rule is None:
            raise RefusedError(f"{said(node)!r} is nothing that ADQL has as a value, or is not answered here")
        return rule(self, node)

    def _column(self, node: exp.Expr) -> Typed:
        assert isinstance(node, exp.Column)
        found = self._scope.find(node)
        if self._grouped is not None and not self._in_aggregate:
            named = [self._scope.find(one).sql for one in self._grouped if isinstance(one, exp.Column)]
            if not any(one is found.sql for one in named):
                raise RefusedError(
                    f"column {said(node)!r} is neither in GROUP BY nor within COUNT, MIN, MAX, AVG or SUM"
                )
        return found

    def _literal(self, node: exp.Expr) -> Typed:
        if node.is_string:
            return Typed(literal(node.name, Kind.TEXT.sql_type), plain(Kind.TEXT))
        return of_number(number_of(node.name))

    def _null(self, _: exp.Expr) -> Typed:
        return Typed(null(), plain(Kind.CHAR))

    def _paren(self, node: exp.Expr) -> Typed:
        inner = self.value(node.this)
        return Typed(inner.sql.self_group() if hasattr(inner.sql, "self_group") else inner.sql, inner.field)

    def _negative(self, node: exp.Expr) -> Typed:
        inner = require_number(self.value(node.this), node.this)
        return Typed(-inner.sql, plain(inner.field.kind, inner.field.unit))

    def _arithmetic(self, node: exp.Expr) -> Typed:
        assert isinstance(node, exp.Binary)
        left, right = (require_number(self.value(one), one) for one in (node.this, node.expression))
        if isinstance(node, exp.Div):
            return Typed(as_double(left) / as_double(right), plain(Kind.DOUBLE))
        kind = common_kind([left.field.kind, right.field.kind], said(node))
        kind = Kind.LONG if kind.is_whole else kind  # which sums and products of smaller ones may need
        if isinstance(node, exp.Mul):
            return Typed(left.sql * right.sql, plain(kind))
        unit = left.field.unit if left.field.unit == right.field.unit else ""
        return Typed(left.sql + right.sql if isinstance(node, exp.Add) else left.sql - right.sql, plain(kind, unit))

    def _bits(self, node: exp.Expr) -> Typed:
        assert isinstance(node, exp.Binary)
        left, right = (self.value(one) for one in (node.this, node.expression))
        if not (left.field.kind.is_whole and right.field.kind.is_whole):
            raise RefusedError(f"{said(node)!r} asks for bits of what is no whole number")
        of = left.sql.bitwise_and if isinstance(node, exp.BitwiseAnd) else left.sql.bitwise_or
        return Typed(of(right.sql), plain(Kind.LONG))

    def _joined(self, node: exp.Expr) -> Typed:
        assert isinstance(node, exp.Binary)
        left, right = (require_text(self.value(one), one) for one in (node.this, node.expression))
        return Typed(
            as_text(left).concat(as_text(right)), plain(common_kind([left.field.kind, right.field.kind], "||"))
        )

    def _function(self, node: exp.Expr) -> Typed:
        name, arguments = node.name.upper(), list(node.expressions)
        if name in AGGREGATES:
            return self._aggregate(name, arguments)
        if name in PREDICATES:
            holds = self._predicate(node)
            return Typed(case((holds, 1), (not_(holds), 0)), plain(Kind.INT))
        if name == "DISTANCE":
            return Typed(distance(*self._sky.points(arguments)), plain(Kind.DOUBLE, "deg", "pos.angDistance"))
        if name in ("COORD1", "COORD2") and len(arguments) == 1:
            return self._coordinate(name, arguments[0])
        known = FUNCTIONS.get(name)
        if known is None:
            raise RefusedError(f"function {name[:40]} is not answered: expected one of {', '.join(FUNCTIONS)}")
        counts, build = known
        if len(arguments) not in counts:
            raise RefusedError(f"{name} has {len(arguments)} arguments: expected {' or '.join(map(str, counts[:2]))}")
        return build(Call(name, arguments, [self.value(one) for one in arguments], self._is_sqlite))

    def _coordinate(self, name: str, node: exp.Expr) -> Typed:
        if not (isinstance(node, exp.Anonymous) and node.name.upper() == "POINT" and len(node.expressions) >= 2):
            raise RefusedError(f"{name} expects a POINT")
        return self.value(node.expressions[-2 if name == "COORD1" else -1])

    def _aggregate(self, name: str, arguments: list[exp.Expr]) -> Typed:
        if self._grouped is None:
            raise RefusedError(f"{name} stands where there is nothing to aggregate, such as in WHERE")
        if self._in_aggregate or len(arguments) != 1:
            raise RefusedError(f"{name} has one argument, which is no aggregate itself")
        [node] = arguments
        if isinstance(node, exp.Star):
            return aggregate(name, None, None, is_distinct=False)
        is_distinct = isinstance(node, exp.Distinct)
        if is_distinct:
            if len(node.expressions) != 1:
                raise RefusedError(f"{name}(DISTINCT …) has one argument")
            [node] = node.expressions
        self._in_aggregate = True
        try:
            return aggregate(name, self.value(node), node, is_distinct=is_distinct)
        finally:
            self._in_aggregate = False

    def _scalar_query(self, node: exp.Expr) -> Typed:
        inner = self._query(node.this, self._scope)
        if len(inner.fields) != 1:
            raise RefusedError(f"a query in the place of a value has {len(inner.fields)} columns: expected 1")
        return Typed(inner.select.scalar_subquery(), plain(inner.fields[0].kind, inner.fields[0].unit))

    # Conditions

    def condition(self, node: exp.Expr) -> Sql:
        """What is true, false or unknown."""
        rule = self._CONDITIONS.get(type(node))
        if rule is None:
            raise RefusedError(f"{said(node)!r} is no condition; a geometry is asked by CONTAINS(…) = 1")
        return rule(self, node)

    def _all_of(self, node: exp.Expr) -> Sql:
        parts = [self.condition(one) for one in node.flatten()]
        return and_(*parts) if isinstance(node, exp.And) else or_(*parts)

    def _not(self, node: exp.Expr) -> Sql:
        return not_(self.condition(node.this))

    def _in_parentheses(self, node: exp.Expr) -> Sql:
        return self.condition(node.this)

    def _comparison(self, node: exp.Expr) -> Sql:
        assert isinstance(node, exp.Binary)
        sky = self._predicate_comparison(node) if isinstance(node, exp.EQ | exp.NEQ) else self._near(node)
        if sky is not None:
            return sky
        left, right = self._alike(node.this, node.expression)
        found: Sql = COMPARED[type(node)](left.sql, right.sql)
        return found

    def _alike(self, *nodes: exp.Expr) -> list[Typed]:
        values = [self.value(one) for one in nodes]
        common_kind([one.field.kind for one in values], said(nodes[0].parent or nodes[0]))
        return values

    def _predicate(self, node: exp.Expr) -> Sql:
        arguments = list(node.expressions)
        return self._sky.contains(arguments) if node.name.upper() == "CONTAINS" else self._sky.intersects(arguments)

    def _predicate_comparison(self, node: exp.Binary) -> Sql | None:
        for one, other in ((node.this, node.expression), (node.expression, node.this)):
            if isinstance(one, exp.Anonymous) and one.name.upper() in PREDICATES:
                wanted = constant(other)
                if wanted not in (0, 1):
                    raise RefusedError(f"{one.name.upper()} is 1 or 0, and compared with {said(other)}")
                holds = self._predicate(one)
                return holds if (wanted == 1) == isinstance(node, exp.EQ) else not_(holds)
        return None

    def _near(self, node: exp.Binary) -> Sql | None:
        """DISTANCE(…) < number, which is a circle."""
        kind, one, other = type(node), node.this, node.expression
        if kind in TURNED:
            kind, one, other = TURNED[kind], other, one
        if not (isinstance(one, exp.Anonymous) and one.name.upper() == "DISTANCE"):
            return None
        limit, size = require_number(self.value(other), other), constant(other)
        points = self._sky.points(list(one.expressions))
        return self._sky.within(*points, reach(limit, size), closed=kind is exp.LTE)

    def near(self, node: exp.Expr) -> Near | None:
        """What a condition says of stars near to rows of an uploaded table; None where it is no such condition."""
        condition = self.condition(node)
        return next((one for one in self._sky.nears if one.condition is condition), None)

    def _between(self, node: exp.Expr) -> Sql:
        value, low, high = self._alike(node.this, node.args["low"], node.args["high"])
        return value.sql.between(low.sql, high.sql)

    def _in(self, node: exp.Expr) -> Sql:
        query = node.args.get("query")
        if query is None:
            value, *listed = self._alike(node.this, *node.expressions)
            return value.sql.in_([one.sql for one in listed])
        value, inner = self.value(node.this), self._query(query.this, self._scope)
        if len(inner.fields) != 1:
            raise RefusedError(f"IN (SELECT …) has {len(inner.fields)} columns: expected 1")
        common_kind([value.field.kind, inner.fields[0].kind], "IN")
        return value.sql.in_(inner.select)

    def _exists(self, node: exp.Expr) -> Sql:
        inner = node.this if isinstance(node.this, exp.Query) else node.this.this
        return self._query(inner, self._scope).select.exists()

    def _is_null(self, node: exp.Expr) -> Sql:
        if not isinstance(node.expression, exp.Null):
            raise RefusedError(f"{said(node)!r}: expected IS NULL or IS NOT NULL")
        return self.value(node.this).sql.is_(None)

    def _like(self, node: exp.Expr) -> Sql:
        text, pattern = as_text(require_text(self.value(node.this), node.this)), node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            raise RefusedError(f"LIKE expects a pattern that is written out, found {said(pattern)}")
        if isinstance(node, exp.ILike):
            escaped = pattern.name.lower().replace(ESCAPE, ESCAPE * 2)
            found = func.lower(text).like(escaped, escape=ESCAPE)
        elif self._is_sqlite:  # whose LIKE knows no capitals
            found = text.op("GLOB", is_comparison=True)(_globbed(pattern.name))
        else:
            found = text.like(pattern.name.replace(ESCAPE, ESCAPE * 2), escape=ESCAPE)
        return not_(found) if node.args.get("negate") else found

    _VALUES: dict[type[exp.Expr], Callable[["Expressions", exp.Expr], Typed]] = {  # noqa: RUF012 - a table of rules
        exp.Column: _column,
        exp.Literal: _literal,
        exp.Null: _null,
        exp.Paren: _paren,
        exp.Neg: _negative,
        exp.Add: _arithmetic,
        exp.Sub: _arithmetic,
        exp.Mul: _arithmetic,
        exp.Div: _arithmetic,
        exp.BitwiseAnd: _bits,
        exp.BitwiseOr: _bits,
        exp.DPipe: _joined,
        exp.Anonymous: _function,
        exp.Subquery: _scalar_query,
    }
    _CONDITIONS: dict[type[exp.Expr], Callable[["Expressions", exp.Expr], Sql]] = {  # noqa: RUF012
        exp.And: _all_of,
        exp.Or: _all_of,
        exp.Not: _not,
        exp.Paren: _in_parentheses,
        exp.Between: _between,
        exp.In: _in,
        exp.Exists: _exists,
        exp.Is: _is_null,
        exp.Like: _like,
        exp.ILike: _like,
        **dict.fromkeys(COMPARED, _comparison),
    }


def conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """Conditions that must all hold for one to hold."""
    if isinstance(node, exp.Paren):
        return conjuncts(node.this)
    if isinstance(node, exp.And):
        return [part for one in (node.this, node.expression) for part in conjuncts(one)]
    return [] if node is None else [node]


def _globbed(pattern: str) -> str:
    """A pattern of LIKE as one of GLOB."""
    signs = {"%": "*", "_": "?", **{one: f"[{one}]" for one in GLOB_SIGNS}}
    return "".join(signs.get(one, one) for one in pattern)
