"""The declarative base, the column types that every table shares, and the database's clock."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    DateTime,
    Double,
    Float,
    MetaData,
    SmallInteger,
    Table,
    Text,
    literal,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.sql.expression import FunctionElement

# One set of options for every table: names such as filter "R" and "r" differ, so the collation is binary.
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

# SQLite would keep a hidden row number and a second tree for the key; without it inserts take half the time.
MEASUREMENT_OPTIONS: dict[str, Any] = TABLE_OPTIONS | {"sqlite_with_rowid": False}

# Microseconds on MySQL; SQLite keeps text with six decimals anyway.
UtcDateTime = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

# 16 MB: parameters name each frame of a night by a PID of 19 digits, and a text of MySQL ends at 65,535 bytes.
LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")

Pid = Annotated[int, mapped_column(BigInteger)]
Real = Annotated[float, mapped_column(Double)]  # what must survive to float64
Single = Annotated[float, mapped_column(Float(24))]  # MySQL hands these over with six digits
Small = Annotated[int, mapped_column(SmallInteger)]
Utc = Annotated[datetime, mapped_column(UtcDateTime)]


class Base(DeclarativeBase):
    """Base of all models; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    __table_args__: Any = TABLE_OPTIONS


def table_of(model: type[Base]) -> Table:
    """The table behind a model: statements on it skip what the ORM would do for each execution."""
    table = model.__table__
    assert isinstance(table, Table)
    return table


class UtcNow(FunctionElement[datetime]):
    """The database's clock in UTC, plus a number of seconds; hosts' clocks never take part in a comparison."""

    type = UtcDateTime
    inherit_cache = True


def utc_now(offset_seconds: float | BindParameter[float] = 0.0) -> UtcNow:
    """SQL expression for the database's UTC time, ``offset_seconds`` from now."""
    offset = offset_seconds if isinstance(offset_seconds, BindParameter) else literal(offset_seconds, Double)
    return UtcNow(offset)


@compiles(UtcNow, "mysql")
@compiles(UtcNow, "mariadb")
def _mysql_now(element: UtcNow, compiler: Any, **kw: Any) -> str:
    return f"(UTC_TIMESTAMP(6) + INTERVAL {compiler.process(element.clauses, **kw)} SECOND)"


@compiles(UtcNow, "sqlite")
def _sqlite_now(element: UtcNow, compiler: Any, **kw: Any) -> str:
    # SQLite's clock has milliseconds; three zeros keep the text the same width as SQLAlchemy's own.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', ({compiler.process(element.clauses, **kw)}) || ' seconds')"
