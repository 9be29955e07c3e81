"""`TAP_SCHEMA`: the tables that describe the tables, themselves among them, in a database in memory."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Engine, FromClause, MetaData, Table, create_engine, insert
from sqlalchemy.pool import StaticPool

from services.vo.fields import Field, Kind
from services.vo.published.published_table import PublishedTable

SCHEMA = "TAP_SCHEMA"
DESCRIPTION = "Tables that describe the tables"
DESCRIPTIONS = {SCHEMA: DESCRIPTION}


def _texts(**names: str) -> list[Field]:
    return [Field(name, Kind.TEXT, words, is_standard=True) for name, words in names.items()]


def _numbers(**names: str) -> list[Field]:
    return [Field(name, Kind.INT, words, is_standard=True) for name, words in names.items()]


_FIELDS: dict[str, tuple[str, list[Field]]] = {
    "schemas": (
        "Schemas",
        [
            *_texts(schema_name="name", utype="utype", description="what it holds"),
            *_numbers(schema_index="order in which they are shown"),
        ],
    ),
    "tables": (
        "Tables",
        [
            *_texts(schema_name="schema", table_name="full name", table_type="table or view", utype="utype"),
            *_texts(description="what it holds"),
            *_numbers(table_index="order in which they are shown"),
        ],
    ),
    "columns": (
        "Columns",
        [
            *_texts(table_name="table", column_name="name", datatype="type of VOTable", arraysize="size of VOTable"),
            *_texts(xtype="xtype"),
            *_numbers(size="length, where it is fixed"),
            *_texts(description="meaning", utype="utype", unit="unit", ucd="UCD"),
            *_numbers(indexed="1: it is", principal="1: it is among the first to be shown", std="1: by a standard"),
            *_numbers(column_index="order in which they are shown"),
        ],
    ),
    "keys": (
        "Columns that lead to another table",
        _texts(
            key_id="key",
            from_table="table",
            target_table="table that it leads to",
            description="meaning",
            utype="utype",
        ),
    ),
    "key_columns": (
        "Columns of keys",
        _texts(key_id="key", from_column="column", target_column="column that it leads to"),
    ),
}
_metadata = MetaData()
_TABLES = {
    name: Table(name, _metadata, *(SqlColumn(one.name, one.kind.sql_type) for one in fields))
    for name, (_, fields) in _FIELDS.items()
}


def _rows_of(name: str) -> FromClause:
    return _TABLES[name]


SCHEMA_TABLES = tuple(
    PublishedTable(SCHEMA, name, description, tuple(fields), lambda name=name: _rows_of(name))  # type: ignore[misc]
    for name, (description, fields) in _FIELDS.items()
)
_BY_SOURCE = ("light_curve", "source_place", "variability", "light_curve_statistics")
# Columns that lead to another table: table, column, table, column.
KEYS = (
    *((f"tianyu.{name}", "source_id", "tianyu.source_catalog", "source_id") for name in _BY_SOURCE),
    *((f"tianyu.{name}", "observation_id", "tianyu.observation", "observation_id") for name in (*_BY_SOURCE, "frame")),
    (f"{SCHEMA}.tables", "schema_name", f"{SCHEMA}.schemas", "schema_name"),
    (f"{SCHEMA}.columns", "table_name", f"{SCHEMA}.tables", "table_name"),
    (f"{SCHEMA}.keys", "from_table", f"{SCHEMA}.tables", "table_name"),
    (f"{SCHEMA}.keys", "target_table", f"{SCHEMA}.tables", "table_name"),
    (f"{SCHEMA}.key_columns", "key_id", f"{SCHEMA}.keys", "key_id"),
)


def schema_engine(tables: Iterable[PublishedTable], descriptions: Mapping[str, str]) -> Engine:
    """A database in memory with `TAP_SCHEMA` of these tables; ``descriptions`` are of schemas."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    _metadata.create_all(engine)
    listed = [*tables]
    names = list(dict.fromkeys(one.schema for one in listed))
    schemas = [
        {"schema_name": name, "description": descriptions[name], "schema_index": number}
        for number, name in enumerate(names)
    ]
    with engine.begin() as connection:
        connection.execute(insert(_TABLES["schemas"]), schemas)
        connection.execute(insert(_TABLES["tables"]), [_table_row(one, number) for number, one in enumerate(listed)])
        columns = [_column_row(table, field, number) for table in listed for number, field in enumerate(table.fields)]
        connection.execute(insert(_TABLES["columns"]), columns)
        keys = list(enumerate(KEYS))
        connection.execute(
            insert(_TABLES["keys"]),
            [{"key_id": str(n), "from_table": one, "target_table": other} for n, (one, _, other, _) in keys],
        )
        connection.execute(
            insert(_TABLES["key_columns"]),
            [{"key_id": str(n), "from_column": own, "target_column": theirs} for n, (_, own, _, theirs) in keys],
        )
    return engine


def _table_row(table: PublishedTable, number: int) -> dict[str, Any]:
    return {
        "schema_name": table.schema,
        "table_name": table.full_name,
        "table_type": "table" if table.schema == SCHEMA else "view",
        "description": table.description,
        "utype": table.utype or None,
        "table_index": number,
    }


def _column_row(table: PublishedTable, field: Field, number: int) -> dict[str, Any]:
    return {
        "table_name": table.full_name,
        "column_name": f'"{field.name}"' if field.name == "size" else field.name,
        "datatype": field.kind.value,
        "arraysize": field.arraysize or None,
        "xtype": field.xtype or None,
        "size": None,
        "description": field.description,
        "utype": field.utype or None,
        "unit": field.unit or None,
        "ucd": field.ucd or None,
        "indexed": int(field.is_indexed),
        "principal": int(field.is_principal),
        "std": int(field.is_standard),
        "column_index": number,
    }
