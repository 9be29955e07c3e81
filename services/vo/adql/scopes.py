"""Which column a name means: tables of a query by the names that it gives them, and those of the queries around it."""

from dataclasses import dataclass, field, replace

from sqlalchemy import FromClause
from sqlglot import exp

from services.vo.adql.typed import Typed, said
from services.vo.vo_errors import RefusedError


def same_name(name: str, identifier: exp.Expr) -> bool:
    """Whether an identifier means a name: unquoted ones may be written in any case."""
    asked = identifier.name
    return name == asked if identifier.args.get("quoted") else name.lower() == asked.lower()


@dataclass(frozen=True)
class Relation:
    """A table, or a query in its place, as FROM names it; columns in their order."""

    name: str
    schema: str
    columns: tuple[Typed, ...]

    def find(self, identifier: exp.Expr) -> list[Typed]:
        """Columns of this name."""
        return [one for one in self.columns if same_name(one.field.name, identifier)]

    def within(self, rows: FromClause) -> "Relation":
        """The same of a query that has all of its columns."""
        return replace(self, columns=tuple(one.within(rows) for one in self.columns))


@dataclass
class Scope:
    """Relations of one SELECT; ``merged`` are columns that a NATURAL JOIN or USING made one of two."""

    parent: "Scope | None" = None
    relations: list[Relation] = field(default_factory=list)
    merged: list[Typed] = field(default_factory=list)

    def add(self, relation: Relation) -> None:
        """One more table of FROM."""
        if any(one.name.lower() == relation.name.lower() and one.schema == relation.schema for one in self.relations):
            raise RefusedError(f"table {relation.name[:80]!r} stands twice in FROM: give one of them another name (AS)")
        self.relations.append(relation)

    def find(self, node: exp.Column) -> Typed:
        """The column that is meant.

        Raises:
            RefusedError: none is, or several could be.
        """
        found = self._found(node)
        if not found and self.parent is not None:
            return self.parent.find(node)
        if not found:
            raise RefusedError(f"there is no column {said(node)!r} in the tables of FROM")
        if len(found) > 1:
            raise RefusedError(f"column {said(node)!r} is in several tables of FROM: name the table before it")
        return found[0]

    def _found(self, node: exp.Column) -> list[Typed]:
        if node.args.get("catalog"):
            raise RefusedError(f"{said(node)!r} names a catalogue: expected at most SCHEMA.TABLE.COLUMN")
        if not node.args.get("table"):
            merged = [one for one in self.merged if same_name(one.field.name, node.this)]
            return merged or [one for relation in self.relations for one in relation.find(node.this)]
        return [one for relation in self.named(node) for one in relation.find(node.this)]

    def named(self, node: exp.Column) -> list[Relation]:
        """Relations that stand before the point of a column or star."""
        schema = node.args.get("db")
        return [
            one
            for one in self.relations
            if same_name(one.name, node.args["table"])
            and (schema is None or (one.schema and same_name(one.schema, schema)))
        ]

    def all_columns(self) -> list[Typed]:
        """What `*` means: merged columns once, and first."""
        merged = {one.field.name.lower() for one in self.merged}
        rest = [one for relation in self.relations for one in relation.columns if one.field.name.lower() not in merged]
        return [*self.merged, *rest]
