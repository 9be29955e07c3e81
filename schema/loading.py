"""Rows of numbers into a table of a server by LOAD DATA LOCAL, from memory: half of what an INSERT costs.

It needs no right but INSERT. With LOCAL a server names the file that it wants, which might be any of this machine: here
no file is ever opened, and a server that asks for one unasked gets an error from the driver.

LOCAL makes warnings of errors: a row whose key is there already would be left out without a word. So what the server
counted is compared with what was sent.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from pymysql.connections import Connection  # type: ignore[import-untyped]
from pymysql.constants import COMMAND, ER  # type: ignore[import-untyped]
from pymysql.err import IntegrityError, OperationalError, ProgrammingError  # type: ignore[import-untyped]
from pymysql.protocol import OKPacketWrapper  # type: ignore[import-untyped]

ROWS_LEAST = 100  # fewer go by INSERT: a round trip less
PACKET_BYTES = 1 << 16
# The server's setting `local_infile` is off: of MySQL 8, of what was before it, of MariaDB.
NOT_ALLOWED = (3948, ER.NOT_ALLOWED_COMMAND, 4166)
_PLAIN = {int, float, type(None)}


def are_numbers(rows: Iterable[tuple[Any, ...]]) -> bool:
    """Whether all values are plainly numbers or nothing."""
    return set(map(type, chain.from_iterable(rows))) <= _PLAIN


def as_text(rows: Iterable[tuple[Any, ...]], row: str, nothing: str) -> str:
    """A line a row, numbers in the fewest digits that give the same double; ``row`` has %s for each value.

    Raises:
        ProgrammingError: one is not finite, which no column takes.
    """
    text = "\n".join(map(row.__mod__, rows)).replace("None", nothing)
    if "n" in text:
        raise ProgrammingError("nan and inf can not be used with MySQL")
    return text


def load(connection: Connection, table: str, names: str, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Put rows of numbers into these columns of a table; False where the server does not allow it.

    Raises:
        IntegrityError: the server did not take each row as it is.
    """
    data = as_text(rows, "\t".join(["%s"] * len(rows[0])), r"\N").encode()
    connection._execute_command(COMMAND.COM_QUERY, f"LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} ({names})")
    try:
        connection._read_packet()  # the name of a file
    except OperationalError as error:
        if error.args[0] in NOT_ALLOWED:
            return False
        raise
    for start in range(0, len(data), PACKET_BYTES):
        connection.write_packet(data[start : start + PACKET_BYTES])
    connection.write_packet(b"")
    answer = OKPacketWrapper(connection._read_packet())
    if answer.affected_rows != len(rows) or answer.warning_count:
        raise IntegrityError(
            ER.DUP_ENTRY,
            f"of {len(rows)} rows table {table} took {answer.affected_rows}, with {answer.warning_count} warnings: "
            f"their keys are there already, or a number has no room in its column ({answer.message.decode()})",
        )
    return True
