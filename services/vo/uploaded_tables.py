"""Tables of who asks: VOTables that come with the question, and go to the database as one bound value.

So the service needs no right to make tables, not even temporary ones.
"""

import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.parsers import expat

import numpy as np
from sqlalchemy import CTE, BindParameter, bindparam, column, text

from services.sky.catalogue.votables import ElsewhereError, require_own_data
from services.vo.fields import Field, Kind
from services.vo.published.published_table import PublishedTable
from services.vo.query_limits import QueryLimits
from services.vo.vo_errors import RefusedError

SCHEMA = "TAP_UPLOAD"
NAME = re.compile(r"[A-Za-z]\w{0,60}", re.ASCII)
COLUMNS_MOST = 200
_KINDS = {
    "boolean": Kind.SHORT,
    "unsignedByte": Kind.SHORT,
    "short": Kind.SHORT,
    "int": Kind.INT,
    "long": Kind.LONG,
    "float": Kind.FLOAT,
    "double": Kind.DOUBLE,
    "char": Kind.CHAR,
    "unicodeChar": Kind.TEXT,
}
_SERVER_TYPES = {
    Kind.SHORT: "INT",
    Kind.INT: "INT",
    Kind.LONG: "BIGINT",
    Kind.FLOAT: "DOUBLE",
    Kind.DOUBLE: "DOUBLE",
    Kind.CHAR: "TEXT",
    Kind.TEXT: "TEXT",
}


OwnResult = Callable[[str], bytes | None]  # the result of one of this service's own jobs, by its address


def read_uploads(
    wanted: str, files: Mapping[str, bytes], own_result: OwnResult, limits: QueryLimits, *, is_sqlite: bool
) -> list[PublishedTable]:
    """Tables that a parameter UPLOAD names (``name,param:key;…``).

    No address is asked for a table: this service could reach others than who asks can. Results of its own jobs it has.

    Raises:
        RefusedError: one is not there, lies elsewhere, is no VOTable, or is too large.
    """
    tables: list[PublishedTable] = []
    rows = 0
    for one in filter(None, (part.strip() for part in wanted.split(";"))):
        name, comma, address = one.partition(",")
        if not comma or not NAME.fullmatch(name.strip()):
            raise RefusedError(f"UPLOAD {one[:60]!r}: expected NAME,param:KEY")
        content = _content(one, address.strip(), files, own_result)
        if any(table.name.lower() == name.strip().lower() for table in tables):
            raise RefusedError(f"UPLOAD names table {name.strip()!r} twice")
        fields, data = _read(name, content)
        rows += len(data)
        if rows > limits.upload_rows:
            raise RefusedError(f"uploaded tables have more than {limits.upload_rows} rows: send them in parts")
        clause = _clause(f"u{len(tables) + 1}", fields, data, is_sqlite=is_sqlite)
        tables.append(PublishedTable(SCHEMA, name.strip(), "uploaded", fields, lambda clause=clause: clause))  # type: ignore[misc]
    return tables


def _content(one: str, address: str, files: Mapping[str, bytes], own_result: OwnResult) -> bytes:
    scheme, _, key = address.partition(":")
    if scheme.lower() == "param":
        if key not in files:
            raise RefusedError(f"UPLOAD {one[:60]!r}: no part {key[:40]!r} came with the question")
        return files[key]
    found = own_result(address)
    if found is None:
        raise RefusedError(
            f"UPLOAD {one[:60]!r} lies elsewhere, which is not fetched: send it along (param:KEY), or name the result "
            "of a job of this service"
        )
    return found


def _read(name: str, content: bytes) -> tuple[tuple[Field, ...], list[list[Any]]]:
    from astropy.io.votable import parse_single_table  # 0.3 s, and few questions bring tables

    try:
        require_own_data(content)
        table = parse_single_table(io.BytesIO(content), verify="ignore")
    except (ElsewhereError, expat.ExpatError, ValueError, IndexError, TypeError) as error:
        raise RefusedError(f"uploaded table {name[:40]!r} cannot be read as a VOTable: {str(error)[:200]}") from error
    if not 0 < len(table.fields) <= COLUMNS_MOST:
        raise RefusedError(
            f"uploaded table {name[:40]!r} has {len(table.fields)} columns: expected 1 to {COLUMNS_MOST}"
        )
    fields: list[Field] = []
    columns = []
    for field in table.fields:
        kind = _KINDS.get(field.datatype)
        values = table.array[field.ID] if field.ID in (table.array.dtype.names or ()) else table.array[field.name]
        if kind is None or (kind.is_number and values.ndim != 1):
            raise RefusedError(f"column {field.name[:40]!r} of uploaded table {name[:40]!r} is no number and no text")
        if field.name.lower() in {one.name.lower() for one in fields}:
            raise RefusedError(f"uploaded table {name[:40]!r} has column {field.name[:40]!r} twice")
        unit, words = str(field.unit or ""), str(field.description or "")
        fields.append(Field(field.name, kind, words, unit, field.ucd or "", field.utype or "", field.xtype or ""))
        columns.append(_values(values, kind))
    return tuple(fields), [list(row) for row in zip(*columns, strict=True)]


def _values(values: Any, kind: Kind) -> list[Any]:
    array = np.ma.asarray(values)
    missing = np.ma.getmaskarray(array)
    if kind.is_real:
        numbers = np.asarray(array.filled(np.nan) if array.dtype.kind == "f" else array, dtype=np.float64)
        missing = missing | ~np.isfinite(numbers)
        return [None if gone else value for value, gone in zip(numbers.tolist(), missing.tolist(), strict=True)]
    if kind.is_number:
        return [None if gone else int(value) for value, gone in zip(array.data.tolist(), missing.tolist(), strict=True)]
    return [None if gone else str(value) for value, gone in zip(array.data.tolist(), missing.tolist(), strict=True)]


def _clause(name: str, fields: tuple[Field, ...], rows: list[list[Any]], *, is_sqlite: bool) -> CTE:
    """A table of the query itself; names and types in this text are ours."""
    if is_sqlite:
        cells = ", ".join(f"json_extract(value, '$[{n}]') AS k{n}" for n in range(len(fields)))
        words = f"SELECT {cells} FROM json_each(:{name})"  # noqa: S608
    else:
        cells = ", ".join(f"k{n} {_SERVER_TYPES[one.kind]} PATH '$[{n}]'" for n, one in enumerate(fields))
        words = f"SELECT j.* FROM JSON_TABLE(:{name}, '$[*]' COLUMNS ({cells})) AS j"  # noqa: S608
    sent: BindParameter[str] = bindparam(name, json.dumps(rows, allow_nan=False))
    columns = [column(f"k{n}", one.kind.sql_type) for n, one in enumerate(fields)]
    made = text(words).bindparams(sent).columns(*columns).cte(name)
    return made.prefix_with("MATERIALIZED", dialect="sqlite")
