"""A query of ADQL as a SELECT of SQLAlchemy.

Names of who asks do not reach SQL: tables and columns of the result have numbers, and literals are bound values.
"""

from typing import Any

from sqlalchemy import CompoundSelect, FromClause, Select, and_, except_, intersect, literal, select, union, union_all
from sqlalchemy.sql import ColumnElement
from sqlglot import exp

from services.vo.adql.adql_functions import common_kind, has_aggregates
from services.vo.adql.adql_parser import parse
from services.vo.adql.expressions import Expressions, conjuncts
from services.vo.adql.scopes import Relation, Scope, same_name
from services.vo.adql.typed import Compiled, Origin, Typed, constant, said
from services.vo.fields import Field, plain
from services.vo.published.published_table import Catalogue
from services.vo.vo_errors import RefusedError

Sql = ColumnElement[Any]
MOST_TABLES = 20  # of one query
MOST_COLUMNS = 500
# What a SELECT may have; all else that sqlglot knows is refused.
PARTS = frozenset(
    (
        "expressions",
        "from_",
        "joins",
        "where",
        "group",
        "having",
        "order",
        "limit",
        "offset",
        "distinct",
        "with_",
        "kind",
    )
)
SET_PARTS = frozenset(("this", "expression", "distinct", "order", "limit", "offset", "with_", "by_name"))
JOINS = {  # whether one is outer
    ("", ""): False,
    ("", "INNER"): False,
    ("LEFT", ""): True,
    ("LEFT", "OUTER"): True,
}


def translate(adql: str, catalogue: Catalogue, *, is_sqlite: bool) -> Compiled:
    """SQL for a query.

    Raises:
        RefusedError: it is no query of ADQL, or names what may not be asked.
    """
    query = parse(adql)
    try:
        made = SelectCompiler(catalogue, is_sqlite=is_sqlite).compile(query)
        if any(one.zones is not None for one in catalogue.tables):
            # Now uploaded tables know of which circles about their rows they must name the cells.
            made = SelectCompiler(catalogue, is_sqlite=is_sqlite).compile(query)
        return made
    except RecursionError as error:
        raise RefusedError("the query is nested too deeply") from error


class SelectCompiler:
    """Of one query of a user, with all queries in it."""

    def __init__(self, catalogue: Catalogue, *, is_sqlite: bool) -> None:
        self._catalogue, self._is_sqlite = catalogue, is_sqlite
        self._ctes: dict[str, Compiled] = {}
        self._clauses: dict[str, FromClause] = {}
        self._tables = 0

    def compile(self, query: exp.Query, parent: Scope | None = None) -> Compiled:
        """A SELECT, or several that UNION, EXCEPT or INTERSECT join."""
        if isinstance(query, exp.Subquery):
            return self.compile(query.this, parent)
        self._with(query, parent)
        if isinstance(query, exp.SetOperation):
            return self._set_operation(query)
        if not isinstance(query, exp.Select):
            raise RefusedError(f"{said(query)!r} is no SELECT")
        _require_known(query, PARTS)
        return self._select(query, Scope(parent))

    def _with(self, query: exp.Query, parent: Scope | None) -> None:
        clause = query.args.get("with_")
        if clause is None:
            return
        if clause.args.get("recursive") or parent is not None:
            raise RefusedError("WITH stands before the whole query, and is not recursive")
        for one in clause.expressions:
            name = one.alias.lower()
            if name in self._ctes or one.args["alias"].args.get("columns"):
                raise RefusedError(f"WITH {one.alias[:40]}: expected each name once, and without a list of columns")
            compiled = self.compile(one.this)
            self._ctes[name] = compiled
            self._clauses[name] = compiled.select.cte(f"w{len(self._ctes)}")

    # Sets

    def _set_operation(self, query: exp.SetOperation) -> Compiled:
        # Its sides do not see tables of queries around it: SQL would not find them in all places.
        _require_known(query, SET_PARTS)
        sides = [self.compile(one) for one in (query.this, query.expression)]
        if len(sides[0].fields) != len(sides[1].fields):
            raise RefusedError(
                f"{said(query)!r} joins queries of {len(sides[0].fields)} and {len(sides[1].fields)} columns"
            )
        name, is_all = type(query), not query.args.get("distinct")
        if is_all and not isinstance(query, exp.Union):
            raise RefusedError("EXCEPT ALL and INTERSECT ALL are not answered: leave out ALL")
        joined = union_all if is_all else {exp.Union: union, exp.Except: except_, exp.Intersect: intersect}[name]
        whole = joined(*(_plain_select(one) for one in sides))
        fields = []
        for left, right in zip(sides[0].fields, sides[1].fields, strict=True):
            kind = common_kind([left.kind, right.kind], said(query))
            fields.append(left if kind is left.kind else plain(kind, left.unit, left.ucd).named(left.name))
        return self._ordered(query, whole, tuple(fields), None)

    # One SELECT

    def _select(self, query: exp.Select, scope: Scope) -> Compiled:
        source = self._from(query, scope)
        expressions = Expressions(scope, self.compile, is_sqlite=self._is_sqlite)
        conditions = [expressions.condition(query.args["where"].this)] if query.args.get("where") else []
        group = query.args.get("group")
        if group is not None and ({name for name, one in group.args.items() if one} - {"expressions"}):
            raise RefusedError("GROUP BY has columns and expressions only")
        grouped = list(group.expressions) if group is not None else []
        grouping = expressions.group_by(grouped) if grouped or has_aggregates(query) else []
        columns = self._columns(query, scope, expressions)
        made = select(*(one.sql.label(f"c{number}") for number, one in enumerate(columns))).select_from(source)
        made = made.where(*conditions)
        if grouping:
            made = made.group_by(*grouping)
        if query.args.get("having"):
            made = made.having(expressions.condition(query.args["having"].this))
        if query.args.get("distinct"):
            if query.args["distinct"].args.get("on"):
                raise RefusedError("DISTINCT ON is not ADQL")
            made = made.distinct()
        return self._ordered(query, made, tuple(one.field for one in columns), expressions)

    def _columns(self, query: exp.Select, scope: Scope, expressions: Expressions) -> list[Typed]:
        found: list[Typed] = []
        for node in query.expressions:
            inner = node.this if isinstance(node, exp.Alias) else node
            if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
                found.extend(self._star(inner, scope, expressions))
                continue
            value = expressions.value(inner)
            name = node.alias if isinstance(node, exp.Alias) else value.field.name or inner.name
            found.append(Typed(value.sql, value.field.named(name or f"column_{len(found) + 1}")))
        if not found or len(found) > MOST_COLUMNS:
            raise RefusedError(f"the query has {len(found)} columns: expected 1 to {MOST_COLUMNS}")
        return _unlike(found)

    def _star(self, node: exp.Expr, scope: Scope, expressions: Expressions) -> list[Typed]:
        star = node if isinstance(node, exp.Star) else node.this
        if any(star.args.values()):
            raise RefusedError(f"{said(node)!r}: expected * alone")
        if expressions.is_grouped:
            raise RefusedError("* does not stand beside GROUP BY, COUNT, MIN, MAX, AVG or SUM")
        if isinstance(node, exp.Star):
            return scope.all_columns()
        relations = scope.named(node)  # type: ignore[arg-type]
        if not relations:
            raise RefusedError(f"{said(node)!r}: there is no such table in FROM")
        return [one for relation in relations for one in relation.columns]

    def _ordered(
        self,
        query: exp.Query,
        made: Select[Any] | CompoundSelect[Any],
        fields: tuple[Field, ...],
        expressions: Expressions | None,
    ) -> Compiled:
        outputs = list(made.selected_columns)
        order = query.args.get("order")
        for node in order.expressions if order is not None else ():
            key = self._order_key(node.this, outputs, fields, expressions)
            made = made.order_by(key.desc() if node.args.get("desc") else key.asc())
        limit, offset = (_count(query.args.get(name)) for name in ("limit", "offset"))
        if limit is not None:
            made = made.limit(limit)
        if offset is not None:
            made = made.offset(offset) if limit is not None else made.limit(2**62).offset(offset)
        return Compiled(made, fields, limit)

    def _order_key(
        self, node: exp.Expr, outputs: list[Any], fields: tuple[Field, ...], expressions: Expressions | None
    ) -> Any:
        position = constant(node)
        if position is not None:
            if not isinstance(position, int) or not 1 <= position <= len(outputs):
                raise RefusedError(f"ORDER BY {said(node)}: expected a column's name, or 1 to {len(outputs)}")
            return outputs[position - 1]
        if isinstance(node, exp.Column) and not node.args.get("table"):
            for output, field in zip(outputs, fields, strict=True):
                if same_name(field.name, node.this):
                    return output
        if expressions is None:
            raise RefusedError(f"ORDER BY {said(node)}: expected a column of the whole result")
        return expressions.value(node).sql

    # FROM

    def _from(self, query: exp.Select, scope: Scope) -> Any:
        clause = query.args.get("from_")
        if clause is None:
            raise RefusedError("the query has no FROM")
        source = self._relation(clause.this, scope)
        source = self._joined(source, clause.this.args.get("joins") or [], scope)
        return self._joined(source, query.args.get("joins") or [], scope)

    def _joined(self, source: Any, joins: list[exp.Expr], scope: Scope) -> Any:
        for join in joins:
            side, kind, method = (str(join.args.get(name) or "").upper() for name in ("side", "kind", "method"))
            known = {"this", "on", "using", "side", "kind", "method"}
            if {name for name, one in join.args.items() if one} - known or method not in ("", "NATURAL"):
                raise RefusedError(f"{said(join)!r} is no join of ADQL")
            before = scope.all_columns()
            right = self._relation(join.this, scope)
            is_bare = not (side or kind or method or join.args.get("on") or join.args.get("using"))
            if is_bare or kind == "CROSS":
                source = source.join(right, literal(1) == literal(1))
                continue
            if side == "RIGHT" or (side, kind) not in JOINS:
                raise RefusedError(f"{side} {kind} JOIN is not answered: expected JOIN, INNER JOIN or LEFT OUTER JOIN")
            found = self._near_rows(join, right, scope) if JOINS[side, kind] else None
            right, condition = found or (right, self._on(join, method, before, scope))
            source = source.join(right, condition, isouter=JOINS[side, kind])
        return source

    def _near_rows(self, join: exp.Expr, right: FromClause, scope: Scope) -> tuple[FromClause, Sql] | None:
        """In place of what LEFT JOIN adds to stars or an uploaded table: what is near, and by what it joins."""
        nodes = conjuncts(join.args.get("on"))
        expressions = Expressions(scope, self.compile, is_sqlite=self._is_sqlite)
        for node in nodes:
            near = expressions.near(node)
            if near is None or right not in (near.stars, near.uploaded.clause):
                continue
            rows, condition = near.rows() if right is near.stars else near.rows_of_upload()
            scope.relations[-1] = scope.relations[-1].within(rows)
            rest = [expressions.condition(one) for one in nodes if one is not node]
            return rows, and_(condition, *rest)
        return None

    def _on(self, join: exp.Expr, method: str, before: list[Typed], scope: Scope) -> Sql:
        if join.args.get("on"):
            return Expressions(scope, self.compile, is_sqlite=self._is_sqlite).condition(join.args["on"])
        new = scope.relations[-1].columns
        if method == "NATURAL":
            theirs = {one.field.name.lower() for one in new}
            names = [exp.to_identifier(one.field.name) for one in before if one.field.name.lower() in theirs]
        else:
            names = list(join.args.get("using") or [])
        if not names:
            raise RefusedError(
                f"{said(join)!r} says not by what it joins: expected ON, USING, or NATURAL with common columns"
            )
        equal: Sql = literal(1) == literal(1)
        for name in names:
            left = [one for one in before if same_name(one.field.name, name)]
            right = [one for one in new if same_name(one.field.name, name)]
            if len(left) != 1 or len(right) != 1:
                raise RefusedError(f"column {name.name[:40]!r} of a join is not once on each side")
            equal = equal & (left[0].sql == right[0].sql)
            scope.merged.append(left[0])
        return equal

    def _relation(self, node: exp.Expr, scope: Scope) -> Any:
        self._tables += 1
        if self._tables > MOST_TABLES:
            raise RefusedError(f"the query has more than {MOST_TABLES} tables")
        if isinstance(node, exp.Subquery):
            if not node.alias:
                raise RefusedError("a query in FROM needs a name: (SELECT …) AS name")
            inner = self.compile(node.this)
            clause: FromClause = inner.select.subquery(f"t{self._tables}")
            scope.add(_of_query(node.alias, clause, inner))
            return clause
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            raise RefusedError(f"{said(node)!r} is no table")
        if {name for name, one in node.args.items() if one} - {"this", "db", "alias", "joins"}:
            raise RefusedError(f"{said(node)!r}: expected SCHEMA.TABLE and a name (AS)")
        name, schema = node.name, node.db
        if not schema and name.lower() in self._ctes:
            key = name.lower()
            clause = self._clauses[key].alias(f"t{self._tables}")
            scope.add(_of_query(node.alias or name, clause, self._ctes[key]))
            return clause
        found = self._catalogue.find(schema, name)
        clause = found.rows().alias(f"t{self._tables}")
        pairs = zip(found.fields, clause.c, strict=False)  # behind its own an uploaded table has columns of cells
        columns = tuple(Typed(sql, field, Origin(clause, found, field.name)) for field, sql in pairs)
        scope.add(Relation(node.alias or found.name, "" if node.alias else found.schema, columns))
        return clause


def _of_query(name: str, clause: FromClause, inner: Compiled) -> Relation:
    columns = tuple(Typed(clause.c[f"c{number}"], field) for number, field in enumerate(inner.fields))
    return Relation(name, "", columns)


def _plain_select(side: Compiled) -> Any:
    """As a side of UNION, where SQLite takes no ORDER BY, no LIMIT and no parentheses."""
    if (
        isinstance(side.select, CompoundSelect)
        or side.select._limit_clause is not None
        or side.select._order_by_clauses
    ):
        return select(*side.select.subquery().c)
    return side.select


def _require_known(query: exp.Query, parts: frozenset[str]) -> None:
    strange = sorted(name for name, one in query.args.items() if one and name not in parts)
    if strange or query.args.get("kind") or query.args.get("by_name"):
        raise RefusedError(f"{', '.join(strange) or 'this kind of SELECT'} is not ADQL: {said(query)!r}")


def _count(node: exp.Expr | None) -> int | None:
    if node is None:
        return None
    value = constant(node.expression) if node.expression is not None else None
    if not isinstance(value, int) or value < 0 or {name for name, one in node.args.items() if one} - {"expression"}:
        raise RefusedError(f"{said(node)!r}: expected a whole number of rows")
    return value


def _unlike(columns: list[Typed]) -> list[Typed]:
    """Each under a name of its own."""
    taken: set[str] = set()
    found = []
    for one in columns:
        name, number = one.field.name, 2
        while name.lower() in taken:
            name, number = f"{one.field.name}_{number}", number + 1
        taken.add(name.lower())
        found.append(Typed(one.sql, one.field.named(name), one.origin))
    return found
