"""Rows from a server in their binary form, straight into columns: a twentieth of what rows of text cost.

A prepared statement's numbers have the width of their types, and all that a driver does with each of them one view of
the bytes does for all. The format is that of MySQL's protocol 4.1 ("Binary Protocol Resultset"), which both servers
speak.

The client (`client/tianyu`) has this file too: it knows no other of this package but its neighbour.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymysql.connections import Connection  # type: ignore[import-untyped]
from pymysql.constants import COMMAND, CR  # type: ignore[import-untyped]
from pymysql.cursors import Cursor  # type: ignore[import-untyped]
from pymysql.err import NotSupportedError, OperationalError  # type: ignore[import-untyped]
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket  # type: ignore[import-untyped]

from .binary_parts import HEADER, Column, Decoder, end_of_packet, whole_rows

READ_BYTES = 1 << 20
PART_BYTES = 1 << 19  # of rows that become columns together: of few rows each is dear


class ColumnCursor(Cursor):  # type: ignore[misc]
    """Gives ``columns`` instead of rows where its connection is told to, or ``parts`` of them as they come."""

    columns: list[NDArray[Any]]
    parts: Iterator[list[Column]]

    def execute(self, query: str | bytearray, args: Any = None) -> int:
        """Run one statement."""
        if not self.connection.gives_columns:
            count: int = super().execute(query, args)
            return count
        statement = self.mogrify(query, args)
        if self.connection.gives_parts:
            width, self.parts = parts(self.connection, statement)
        else:
            self.columns = columns(self.connection, statement)
            width, self.rowcount = len(self.columns), len(self.columns[0])
        self.description = tuple((str(number), *[None] * 6) for number in range(width))
        return int(self.rowcount)

    def close(self) -> None:
        """End it; what is left of an answer is nobody's, and the server makes no more of it."""
        if self.connection is not None and self.connection.is_answering:
            self.connection._force_close()
        super().close()


class ColumnConnection(Connection):  # type: ignore[misc]
    """A connection whose queries can be told to give columns."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.gives_columns = self.gives_parts = False
        self.is_answering = False  # the rest of an answer is still to be read
        super().__init__(*args, **{"cursorclass": ColumnCursor} | more)

    @contextmanager
    def giving_columns(self, *, in_parts: bool = False) -> Iterator[None]:
        """Statements meanwhile are queries, and cursors have `columns` instead of rows, or `parts`."""
        self.gives_columns, self.gives_parts = True, in_parts
        try:
            yield
        finally:
            self.gives_columns = self.gives_parts = False


def columns(connection: Connection, statement: str) -> list[NDArray[Any]]:
    """The columns of a query, ``[rows]`` each in the server's type; it must give numbers alone, and never NULL.

    Raises:
        NotSupportedError: a column holds something else, or a row a NULL.
    """
    width, found = parts(connection, statement)
    numbers: list[list[NDArray[Any]]] = [[] for _ in range(width)]
    for part in found:
        for number, (values, missing) in enumerate(part):
            if isinstance(values, list) or missing is not None:
                connection._force_close()
                kind = "hold no numbers of a fixed width" if isinstance(values, list) else "have a NULL"
                raise NotSupportedError(f"columns cannot be arrays that {kind}: number {number + 1}")
            numbers[number].append(values)
    return [np.concatenate(one) for one in numbers]


def parts(connection: Connection, statement: str) -> tuple[int, Iterator[list[Column]]]:
    """How many columns a query has, and its rows as they come, in columns: one part at least, of no rows too.

    Raises:
        NotSupportedError: a column is of a type that is not known here.
    """
    connection._execute_command(COMMAND.COM_STMT_PREPARE, statement)
    statement_id, width = struct.unpack_from("<xIH", connection._read_packet().get_all_data())
    try:
        _descriptions(connection, width)
        connection._execute_command(COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", statement_id, 0, 1))
        decoder = Decoder(_descriptions(connection, connection._read_packet().read_length_encoded_integer()))
    except NotSupportedError:
        connection._force_close()
        raise
    except BaseException:
        _forget(connection, statement_id)
        raise
    connection.is_answering = True
    return width, _parts(connection, statement_id, decoder)


def _forget(connection: Connection, statement_id: int) -> None:
    connection.is_answering = False
    if connection.open:
        connection._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", statement_id))  # gets no answer


def _descriptions(connection: Connection, number: int) -> list[FieldDescriptorPacket]:
    found = [connection._read_packet(FieldDescriptorPacket) for _ in range(number)]
    connection._read_packet()  # the end of them
    return found


def _parts(connection: Connection, statement_id: int, decoder: Decoder) -> Iterator[list[Column]]:
    data, starts, at = bytearray(), [np.empty(0, dtype=np.int64)], 0
    while True:
        found, at = whole_rows(data, at)
        starts.append(found)
        end = end_of_packet(data, at)
        is_last = end <= len(data)  # and is no row
        if is_last:
            _forget(connection, statement_id)
        if is_last or at >= PART_BYTES:
            yield decoder.columns(bytes(data), np.concatenate(starts))
        if is_last:
            MysqlPacket(bytes(data[at + HEADER : end]), connection.encoding).check_error()
            return
        if at >= PART_BYTES:
            data, starts, at = data[at:], [], 0
        data += _some_bytes(connection)


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
