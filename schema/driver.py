"""What PyMySQL is taught: several statements go to the server in one round trip, and nothing is said twice.

Half of what a process costs are round trips. Statements joined by semicolons need one for all, and the COMMIT behind
them no other. Values are never part of the statements: the driver escapes them, as for a single one.
"""

import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from pymysql.constants import CLIENT  # type: ignore[import-untyped]

from schema.binary_rows import ColumnConnection, ColumnCursor
from schema.loading import ROWS_LEAST, are_numbers, as_text, load
from schema.prepared import COMMIT, SEPARATOR

_AT_THE_END = SEPARATOR + COMMIT
_INSERT_ROWS = re.compile(r"INSERT INTO (?P<table>\w+) \((?P<names>[\w, ]+)\) VALUES (?P<row>\(%s(?:, %s)*\))")
STATEMENT_CHARACTERS = 500_000  # of an INSERT of many rows; with four bytes each they fit any server's packet


class JoinedCursor(ColumnCursor):
    """Runs joined statements to the last. ``results``: rows changed or found, and rows given, of each of them.

    The server stops at the first that fails, and its error is raised, whichever it is.
    """

    results: list[tuple[int, tuple[tuple[Any, ...], ...]]]

    def execute(self, query: str | bytearray, args: Any = None) -> int:
        """Run one statement or several."""
        if self.connection.gives_columns:
            self.connection.idle = False
            return super().execute(query, args)
        count = super().execute(query, args)
        self.results = [(self.rowcount, self._rows or ())]
        while self.nextset():
            self.results.append((self.rowcount, self._rows or ()))
        self.connection.idle = query[-len(_AT_THE_END) :] == _AT_THE_END
        return count

    def executemany(self, query: str, args: Sequence[Any]) -> int | None:
        """Run a statement for each of many values; rows of tuples go in at once, or by few statements.

        The driver would look at each number as long as at a text.
        """
        insert = _INSERT_ROWS.fullmatch(query)
        if insert is None:
            several: int | None = super().executemany(query, args)
            return several
        self.connection.idle = False
        plain = are_numbers(args)
        if plain and len(args) >= ROWS_LEAST and self.connection.loads:
            self.connection.loads = load(self.connection, insert["table"], insert["names"], args)
            if self.connection.loads:
                self.rowcount = len(args)
                return self.rowcount
        if plain:
            rows = iter(as_text(args, insert["row"], "NULL").split("\n"))
        else:
            rows = _written(insert["row"], args, self.connection.escape)
        start = query[: insert.start("row")]
        self.rowcount = sum(self.execute(start + part) for part in _parts(rows))
        return self.rowcount


def _written(row: str, values: Iterable[tuple[Any, ...]], escape: Callable[[Any], str]) -> Iterator[str]:
    """Rows as SQL. What is not plainly a number or nothing is the driver's to escape; texts come again and again."""
    text = cache(escape)

    def literal(value: Any) -> Any:
        if type(value) is int:
            return value
        if value is None:
            return "NULL"
        return text(value) if type(value) is str else escape(value)

    for one in values:
        yield row % tuple(map(literal, one))


def _parts(rows: Iterable[str]) -> Iterator[str]:
    """Rows in lists that one statement can take."""
    part: list[str] = []
    size = 0
    for row in rows:
        if part and size + len(row) > STATEMENT_CHARACTERS:
            yield ",".join(part)
            part, size = [], 0
        part.append(row)
        size += len(row) + 1
    if part:
        yield ",".join(part)


@cache
def _trusting() -> ssl.SSLContext:
    """Of a connection whose URL says nothing of TLS: encrypted where the server can, whoever it is, as the driver's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class JoiningConnection(ColumnConnection):
    """Takes joined statements; a COMMIT or ROLLBACK when nothing was asked since the last one stays here."""

    _read_timeout: float | None

    def __init__(self, *args: Any, client_flag: int = 0, **more: Any) -> None:
        self.idle = False
        self.loads = True  # until the server says that it does not allow it
        more["cursorclass"] = JoinedCursor
        super().__init__(*args, client_flag=client_flag | CLIENT.MULTI_STATEMENTS | CLIENT.LOCAL_FILES, **more)

    def _create_ssl_ctx(self, given: Any) -> ssl.SSLContext:
        """Reading the machine's authorities takes longer than connecting: not where no certificate is looked at."""
        context: ssl.SSLContext = super()._create_ssl_ctx(given) if given else _trusting()
        return context

    def query(self, sql: Any, unbuffered: bool = False) -> int:
        """Ask the server."""
        self.idle = False
        count: int = super().query(sql, unbuffered)
        return count

    def commit(self) -> None:
        """Commit what there is."""
        if not self.idle:
            super().commit()
            self.idle = True

    def rollback(self) -> None:
        """Undo what there is; a connection that was cut off has nothing."""
        if not self.idle and self.open:
            super().rollback()
            self.idle = True

    @contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        """Within the block wait so long for each answer, where that is longer than usual."""
        usual = self._read_timeout
        if usual is not None:
            self._read_timeout = max(usual, seconds)
        try:
            yield
        finally:
            self._read_timeout = usual

    def be_patient(self) -> None:
        """Wait for each answer however long it takes."""
        self._read_timeout = None
