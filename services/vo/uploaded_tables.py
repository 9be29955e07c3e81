"""Tables of who asks: VOTables that come with the question."""

import io
import re
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO
from xml.parsers import expat

import numpy as np

from services.sky.catalogue.votables import ElsewhereError, require_own_data
from services.vo.fields import Field, Kind
from services.vo.published.published_table import PublishedTable
from services.vo.query_limits import QueryLimits
from services.vo.sent_table import SentTable
from services.vo.vo_errors import RefusedError

SCHEMA = "TAP_UPLOAD"
NAME = re.compile(r"[A-Za-z]\w{0,60}", re.ASCII)
ROW = re.compile(rb"<(?:[\w.-]+:)?TR[\s>/]")
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

OwnResult = Callable[[str], bytes | None]  # the result of one of this service's own jobs, by its address


def read_uploads(
    wanted: str, files: Mapping[str, BinaryIO], own_result: OwnResult, limits: QueryLimits, *, is_sqlite: bool
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
        if len(ROW.findall(content)) > limits.upload_rows:  # which take long to be read, and then are too many
            raise _too_many(limits)
        fields, data = _read(name, content)
        rows += len(data[0])
        if rows > limits.upload_rows:
            raise _too_many(limits)
        sent = SentTable(f"u{len(tables) + 1}", fields, data, is_sqlite=is_sqlite)
        tables.append(PublishedTable(SCHEMA, name.strip(), "uploaded", fields, sent.rows, zones=sent.zones))
    return tables


def _too_many(limits: QueryLimits) -> RefusedError:
    return RefusedError(f"uploaded tables have more than {limits.upload_rows} rows: send them in parts")


def _content(one: str, address: str, files: Mapping[str, BinaryIO], own_result: OwnResult) -> bytes:
    scheme, _, key = address.partition(":")
    if scheme.lower() == "param":
        if key not in files:
            raise RefusedError(f"UPLOAD {one[:60]!r}: no part {key[:40]!r} came with the question")
        files[key].seek(0)
        return files[key].read()
    found = own_result(address)
    if found is None:
        raise RefusedError(
            f"UPLOAD {one[:60]!r} lies elsewhere, which is not fetched: send it along (param:KEY), or name the result "
            "of a job of this service"
        )
    return found


def _read(name: str, content: bytes) -> tuple[tuple[Field, ...], list[list[Any]]]:
    """Fields, and the values of each."""
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
    return tuple(fields), columns


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
