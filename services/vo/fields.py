"""What is said of each column of an answer."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from sqlalchemy import BigInteger, Double, Integer, SmallInteger, String
from sqlalchemy.types import TypeEngine

from services.results.view_columns import Column, System


class Kind(Enum):
    """Types of VOTable that columns have."""

    SHORT = "short"
    INT = "int"
    LONG = "long"
    FLOAT = "float"  # of uploaded tables
    DOUBLE = "double"
    CHAR = "char"  # printable ASCII
    TEXT = "unicodeChar"

    @property
    def is_whole(self) -> bool:
        """A whole number."""
        return self in (Kind.SHORT, Kind.INT, Kind.LONG)

    @property
    def is_number(self) -> bool:
        """A number."""
        return self.is_whole or self.is_real

    @property
    def is_real(self) -> bool:
        """A number with a point."""
        return self in (Kind.FLOAT, Kind.DOUBLE)

    @property
    def sql_type(self) -> TypeEngine[Any]:
        """By which SQL is made."""
        return _SQL_TYPES[self]()


_SQL_TYPES: dict[Kind, type[TypeEngine[Any]]] = {
    Kind.SHORT: SmallInteger,
    Kind.INT: Integer,
    Kind.LONG: BigInteger,
    Kind.FLOAT: Double,
    Kind.DOUBLE: Double,
    Kind.CHAR: String,
    Kind.TEXT: String,
}
_KINDS = {
    "bool": Kind.SHORT,
    "i4": Kind.INT,
    "i8": Kind.LONG,
    "f8": Kind.DOUBLE,
    "str": Kind.TEXT,
    "date": Kind.CHAR,
}


REGION = "adql:REGION"  # xtype of a region as TAP writes it
LINKS_TYPE = "application/x-votable+xml;content=datalink"
INDEXED = ("source_id", "healpix")  # of the tables behind the views


@dataclass(frozen=True)
class Field:
    """A column of an answer; ``xtype`` and ``utype`` are the standard's words."""

    name: str
    kind: Kind
    description: str = ""
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    xtype: str = ""
    system: System = ""
    is_principal: bool = False
    is_indexed: bool = False
    is_standard: bool = False
    is_star: bool = False  # the number of a star, to which there are links

    @classmethod
    def of(cls, column: Column) -> "Field":
        """The same of a view's column; ADQL knows no truth values, which are 0 and 1."""
        return cls(
            column.name,
            _KINDS[column.dtype],
            column.description + (" (1: yes, 0: no)" if column.dtype == "bool" else ""),
            column.unit or "",
            column.ucd,
            xtype="timestamp" if column.dtype == "date" else "",
            system=column.system,
            is_principal="meta.main" in column.ucd,
            is_indexed=column.name in INDEXED,
            is_star=column.name == "source_id",
        )

    @property
    def arraysize(self) -> str:
        """Of VOTable; empty for a single number."""
        return "" if self.kind.is_number else "*"

    def named(self, name: str) -> "Field":
        """The same under another name."""
        return replace(self, name=name)


def plain(kind: Kind, unit: str = "", ucd: str = "") -> Field:
    """Of an expression, of which nothing more is known."""
    return Field("", kind, unit=unit, ucd=ucd)
