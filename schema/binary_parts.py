"""Packets of binary rows as columns, see `schema.binary_rows`.

The client (`client/tianyu`) has this file too: it knows no other of this package.
"""

from collections.abc import Callable
from datetime import date, datetime
from struct import calcsize, unpack_from
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pymysql.constants import FIELD_TYPE, FLAG  # type: ignore[import-untyped]
from pymysql.err import NotSupportedError  # type: ignore[import-untyped]
from pymysql.protocol import FieldDescriptorPacket  # type: ignore[import-untyped]

HEADER = 4  # bytes before each packet: its length, and a number
ROW = 0  # the first byte of a row's packet
TYPES = {
    FIELD_TYPE.TINY: "i1",
    FIELD_TYPE.SHORT: "<i2",
    FIELD_TYPE.YEAR: "<i2",
    FIELD_TYPE.INT24: "<i4",
    FIELD_TYPE.LONG: "<i4",
    FIELD_TYPE.LONGLONG: "<i8",
    FIELD_TYPE.FLOAT: "<f4",
    FIELD_TYPE.DOUBLE: "<f8",
    FIELD_TYPE.NULL: "i1",  # of which all are missing
}
DAY, MOMENT = "<HBB", "<HBBBBBI"  # without a time where that is 0, and without microseconds
WIDER = {0xFC: 2, 0xFD: 3, 0xFE: 8}  # first byte of a length that takes more than one, and how many follow it


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _decimal(value: bytes) -> int | float:
    return float(value) if b"." in value else int(value)  # a sum of whole numbers, to its last digit


def _day(value: bytes) -> date | None:
    """A date of zeros is none."""
    return date(*unpack_from(DAY, value)) if value else None


def _moment(value: bytes) -> datetime | None:
    return datetime(*unpack_from(MOMENT, value.ljust(calcsize(MOMENT), b"\0"))) if value else None


# What stands behind its length.
LONG_TYPES: dict[int, Callable[[bytes], Any]] = {
    FIELD_TYPE.DATE: _day,
    **dict.fromkeys((FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP), _moment),
    **dict.fromkeys((FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL), _decimal),
    **dict.fromkeys((FIELD_TYPE.VARCHAR, FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.JSON), _text),
    **dict.fromkeys((FIELD_TYPE.TINY_BLOB, FIELD_TYPE.BLOB, FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB), _text),
    **dict.fromkeys((FIELD_TYPE.ENUM, FIELD_TYPE.SET), _text),
}


class Column(NamedTuple):
    """Of some rows: numbers, or a list of texts, dates and numbers of no width, with None where there is none.

    ``missing``: bool[rows], which of the numbers are NULL and 0 here; None: none is.
    """

    values: NDArray[Any] | list[Any]
    missing: NDArray[np.bool_] | None


def end_of_packet(data: bytes | bytearray, at: int) -> int:
    """Behind all that is there, where its length is not."""
    if len(data) <= at + HEADER:
        return len(data) + 1
    return at + HEADER + int.from_bytes(data[at : at + HEADER - 1], "little")


def whole_rows(data: bytes | bytearray, at: int) -> tuple[NDArray[np.int64], int]:
    """Where the packets of whole rows start, from a first one on, and where the next packet does."""
    size = end_of_packet(data, at) - at
    if at + size > len(data) or data[at + HEADER] != ROW:
        return np.empty(0, dtype=np.int64), at
    # Rows are mostly of one length: all that are as long as the first one at once, the others one by one.
    heads = np.ndarray(((len(data) - at) // size, HEADER + 1), np.uint8, data, at, (size, 1))
    alike = (heads[:, : HEADER - 1] == heads[0, : HEADER - 1]).all(axis=1) & (heads[:, HEADER] == ROW)
    count = alike.size if alike.all() else int(np.argmin(alike))
    first, further = at + size * np.arange(count), []
    at += size * count
    while (end := end_of_packet(data, at)) <= len(data) and data[at + HEADER] == ROW:
        further.append(at)
        at = end
    return np.concatenate([first, np.array(further, dtype=np.int64)]), at


class Decoder:
    """Makes columns of rows of some types.

    Raises:
        NotSupportedError: a column is of a type that is not known here.
    """

    def __init__(self, fields: list[FieldDescriptorPacket]) -> None:
        if strange := [field.name for field in fields if field.type_code not in TYPES.keys() | LONG_TYPES.keys()]:
            raise NotSupportedError(f"columns {', '.join(strange)} are of no type that is read here")
        self._kinds = [LONG_TYPES.get(field.type_code) or _dtype(field) for field in fields]
        self._nulls = (len(fields) + 2 + 7) // 8  # bytes with a bit for each NULL, two bits later

    def columns(self, data: bytes, starts: NDArray[np.int64]) -> list[Column]:
        """Columns of the rows whose packets start there: length, number, 0, bits of NULLs, and the values."""
        at = starts + (HEADER + 1)
        bits = [_numbers(data, np.dtype("u1"), at + number) for number in range(self._nulls)]
        at += self._nulls
        found = []
        for number, kind in enumerate(self._kinds, start=2):
            gone = bits[number // 8] & (1 << number % 8) != 0
            if gone.any():
                values, behind = _values(data, kind, at[~gone])
                found.append(_spread(values, gone))
                at = at.copy()
                at[~gone] = behind
            else:
                values, at = _values(data, kind, at)
                found.append(Column(values, None))
        return found


def _dtype(field: FieldDescriptorPacket) -> np.dtype[Any]:
    name = TYPES[field.type_code]
    return np.dtype(name.replace("i", "u") if field.flags & FLAG.UNSIGNED else name)


def _numbers(data: bytes, dtype: np.dtype[Any], at: NDArray[np.int64]) -> NDArray[Any]:
    """Numbers of one width, wherever they start."""
    if at.size == 0:
        return np.empty(0, dtype)
    step = int(at[1] - at[0]) if at.size > 1 else dtype.itemsize
    if int(at[-1] - at[0]) == step * (at.size - 1) and (np.diff(at) == step).all():  # of rows of one length
        return np.ndarray(at.size, dtype, data, int(at[0]), (step,))
    return np.ndarray(len(data) - dtype.itemsize + 1, dtype, data, 0, (1,))[at]


def _values(data: bytes, kind: Any, at: NDArray[np.int64]) -> tuple[NDArray[Any] | list[Any], NDArray[np.int64]]:
    """Values that start there, and where the next ones do."""
    if isinstance(kind, np.dtype):
        return _numbers(data, kind, at), at + kind.itemsize
    lengths = _numbers(data, np.dtype("u1"), at).astype(np.int64)
    at = at + 1
    for sign, width in WIDER.items():
        for row in np.flatnonzero(lengths == sign):
            lengths[row] = int.from_bytes(data[at[row] : at[row] + width], "little")
            at[row] += width
    behind = at + lengths
    written = [data[first:last] for first, last in zip(at.tolist(), behind.tolist(), strict=True)]
    known = {one: kind(one) for one in set(written)}  # few: a night, a method
    return [known[one] for one in written], behind


def _spread(values: NDArray[Any] | list[Any], gone: NDArray[np.bool_]) -> Column:
    """Values of the rows that have one, among those that have none."""
    if isinstance(values, list):
        rest = iter(values)
        return Column([None if one else next(rest) for one in gone.tolist()], gone)
    spread = np.zeros(gone.size, values.dtype)
    spread[~gone] = values
    return Column(spread, gone)
