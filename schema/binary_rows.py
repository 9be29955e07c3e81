"""Rows of numbers from a server in their binary form, straight into arrays: a twentieth of what rows of text cost.

A prepared statement's rows have the width of their types, and all that a driver does with each of them one view of the
bytes does for all. The format is that of MySQL's protocol 4.1 ("Binary Protocol Resultset"), which both servers speak.

The client (`client/tianyu`) has this file too: it knows no other of this package.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymysql.connections import Connection  # type: ignore[import-untyped]
from pymysql.constants import COMMAND, CR, FIELD_TYPE, FLAG  # type: ignore[import-untyped]
from pymysql.cursors import Cursor  # type: ignore[import-untyped]
from pymysql.err import NotSupportedError, OperationalError  # type: ignore[import-untyped]
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket  # type: ignore[import-untyped]

READ_BYTES = 1 << 20
HEADER = 4  # bytes before each packet: its length, and a number
TYPES = {
    FIELD_TYPE.TINY: "i1",
    FIELD_TYPE.SHORT: "<i2",
    FIELD_TYPE.INT24: "<i4",
    FIELD_TYPE.LONG: "<i4",
    FIELD_TYPE.LONGLONG: "<i8",
    FIELD_TYPE.FLOAT: "<f4",
    FIELD_TYPE.DOUBLE: "<f8",
}


class ColumnCursor(Cursor):  # type: ignore[misc]
    """Gives ``columns`` instead of rows where its connection is told to."""

    columns: list[NDArray[Any]]

    def execute(self, query: str | bytearray, args: Any = None) -> int:
        """Run one statement."""
        if not self.connection.gives_columns:
            count: int = super().execute(query, args)
            return count
        self.columns = columns(self.connection, self.mogrify(query, args))
        self.description = tuple((str(number), *[None] * 6) for number in range(len(self.columns)))
        self.rowcount = len(self.columns[0])
        return self.rowcount


class ColumnConnection(Connection):  # type: ignore[misc]
    """A connection whose queries can be told to give columns."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.gives_columns = False
        super().__init__(*args, **{"cursorclass": ColumnCursor} | more)

    @contextmanager
    def giving_columns(self) -> Iterator[None]:
        """Statements meanwhile are queries, and cursors have ``columns`` instead of rows: see `columns`."""
        self.gives_columns = True
        try:
            yield
        finally:
            self.gives_columns = False


def columns(connection: Connection, statement: str) -> list[NDArray[Any]]:
    """The columns of a query, ``[rows]`` each in the server's type; it must give numbers alone, and never NULL.

    Raises:
        NotSupportedError: a column holds something else, or a row a NULL.
    """
    connection._execute_command(COMMAND.COM_STMT_PREPARE, statement)
    statement_id, fields = struct.unpack_from("<xIH", connection._read_packet().get_all_data())
    try:
        _descriptions(connection, fields)
        connection._execute_command(COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", statement_id, 0, 1))
        row = _layout(_descriptions(connection, connection._read_packet().read_length_encoded_integer()))
        runs = list(_runs(connection, row))
    except NotSupportedError:
        connection._force_close()  # what is left of the answer is nobody's
        raise
    finally:
        if connection.open:
            connection._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", statement_id))  # gets no answer
    rows = np.concatenate(runs)
    return [rows[str(number)] for number in range(fields)]


def _descriptions(connection: Connection, number: int) -> list[FieldDescriptorPacket]:
    found = [connection._read_packet(FieldDescriptorPacket) for _ in range(number)]
    connection._read_packet()  # the end of them
    return found


def _layout(fields: list[FieldDescriptorPacket]) -> np.dtype[Any]:
    """A row's packet: length, number, 0, a bit for each NULL (two bits later), and the values."""
    if strange := [field.name for field in fields if field.type_code not in TYPES]:
        raise NotSupportedError(f"columns {', '.join(strange)} hold no numbers of a fixed width")
    nulls = (len(fields) + 2 + 7) // 8
    values = [
        (
            str(number),
            TYPES[field.type_code].replace("i", "u") if field.flags & FLAG.UNSIGNED else TYPES[field.type_code],
        )
        for number, field in enumerate(fields)
    ]
    return np.dtype([("length", "<u2"), ("length_high", "u1"), ("number", "u1"), ("nulls", "u1", 1 + nulls), *values])


def _runs(connection: Connection, row: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """All rows, some at a time."""
    rest = b""
    while True:
        data = rest + _some_bytes(connection)
        rows = np.frombuffer(data, dtype=row, count=len(data) // row.itemsize)
        length = rows["length"] + (rows["length_high"].astype(np.int64) << 16)
        strange = (length != row.itemsize - HEADER) | rows["nulls"].any(axis=1)
        whole = int(np.argmax(strange)) if strange.any() else rows.size
        yield rows[:whole]
        rest = data[whole * row.itemsize :]
        if len(rest) > HEADER and (whole < rows.size or rest[HEADER] != 0):
            ending = int.from_bytes(rest[: HEADER - 1], "little") + HEADER
            while len(rest) < ending:
                rest += _some_bytes(connection)
            packet = MysqlPacket(rest[HEADER:ending], connection.encoding)
            packet.check_error()
            if packet.is_eof_packet():
                return
            raise NotSupportedError("a row has a NULL, for which the binary rows that are asked for have no room")


def _some_bytes(connection: Connection) -> bytes:
    """What has arrived, or the next that does; as the driver reads, which tells of a lost connection so."""
    try:
        data: bytes = connection._rfile.read1(READ_BYTES)
    except OSError as error:
        connection._force_close()
        raise OperationalError(CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query ({error})") from error
    except BaseException:
        connection._force_close()
        raise
    if not data:
        connection._force_close()
        raise OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
    return data
