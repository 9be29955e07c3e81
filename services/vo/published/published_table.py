"""A table as those who ask see it, and where its rows come from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import FromClause, column, table

from services.results.view_columns import Column
from services.vo.fields import Field
from services.vo.vo_errors import RefusedError

RowsOf = Callable[[], FromClause]
ROW = "z_row"  # number of a row, beside the columns of zones
# Of names of the columns of right ascension and declination, and a radius (degrees, or the name of its column): pairs
# of names of columns with the first and last cells of ranges that hold all that lies so near to a row's place.
ZonesOf = Callable[[str, str, float | str], Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class PublishedTable:
    """Its names, and what gives its rows, whose columns have the fields' names.

    Attributes:
        position: names of its columns of right ascension and declination (ICRS), degrees.
        healpix: column with the cell of order 12 in which that lies, indexed.
        circles: columns of regions, which are circles: those of its right ascension, declination and diameter.
        zones: of an uploaded table; the next ``rows`` have what it names.
    """

    schema: str
    name: str
    description: str
    fields: tuple[Field, ...]
    rows: RowsOf
    position: tuple[str, str] | None = None
    healpix: str | None = None
    utype: str = ""
    circles: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    zones: ZonesOf | None = None

    @property
    def full_name(self) -> str:
        """As it is asked."""
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by name."""
        return {one.name: one for one in self.fields}


def of_view(
    name: str, columns: tuple[Column, ...], *, without: tuple[str, ...] = ()
) -> tuple[tuple[Field, ...], RowsOf]:
    """Fields and rows of a view of the database."""
    fields = tuple(Field.of(one) for one in columns if one.name not in without)
    clause = table(name, *(column(one.name, one.kind.sql_type) for one in fields))
    return fields, lambda: clause


class Catalogue:
    """Tables by name; unquoted names may be written in any case."""

    def __init__(self, tables: tuple[PublishedTable, ...]) -> None:
        self.tables = tables

    def find(self, schema: str, name: str) -> PublishedTable:
        """The table that is named; ``schema`` is empty where none was.

        Raises:
            RefusedError: no such table may be asked.
        """
        for one in self.tables:
            if one.name.lower() == name.lower() and schema.lower() in ("", one.schema.lower()):
                return one
        asked = f"{schema}.{name}" if schema else name
        known = ", ".join(one.full_name for one in self.tables)
        raise RefusedError(f"there is no table {asked[:80]!r} to be asked: expected one of {known}")
