"""Rows of an answer as bytes, a chunk at a time: by columns, which Python does several times as fast as by cells."""

import base64
import csv
import io
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import chain
from typing import Any, Protocol

import numpy as np

from services.errors import TianyuError
from services.vo.fields import Field, Kind
from services.vo.writing.votable_words import Around, clean, content, failure, field_words, overflow

Rows = Sequence[tuple[Any, ...]]
PACKED = {
    Kind.SHORT: struct.Struct(">h"),
    Kind.INT: struct.Struct(">i"),
    Kind.LONG: struct.Struct(">q"),
    Kind.FLOAT: struct.Struct(">f"),
    Kind.DOUBLE: struct.Struct(">d"),
}
DTYPES = {Kind.SHORT: "i2", Kind.INT: "i4", Kind.LONG: "i8", Kind.FLOAT: "f4", Kind.DOUBLE: "f8"}
_COUNT = struct.Struct(">I")
_NAN = float("nan")
# A spreadsheet would take a text that begins so for a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class Writer(Protocol):
    """One kind of document."""

    media_type: str
    suffix: str

    def start(self) -> bytes:
        """Before the first row."""

    def rows(self, rows: Rows) -> bytes:
        """Some rows."""

    def end(self, *, rows: int, is_cut: bool = False, error: str = "") -> bytes:
        """After the last row, of ``rows``: ``is_cut`` where there are more."""


def as_text(value: Any) -> str:
    """A text or date of the database."""
    return value.isoformat() if isinstance(value, date) else str(value)


def converters(fields: Sequence[Field]) -> list[Callable[[Any], Any]]:
    """What makes a value of each column of its kind; servers give sums as decimal numbers."""
    return [int if one.kind.is_whole else float if one.kind.is_real else as_text for one in fields]


class TableData:
    """VOTable, as text."""

    media_type, suffix = "application/x-votable+xml", "vot"

    def __init__(self, fields: Sequence[Field], around: Around) -> None:
        self._fields, self._around = fields, around

    def start(self) -> bytes:
        """Before the first row."""
        return f"{self._around.start}<TABLE>\n{''.join(map(field_words, self._fields))}<DATA>\n<TABLEDATA>\n".encode()

    def rows(self, rows: Rows) -> bytes:
        """Some rows."""
        columns = [
            self._cells(field, values) for field, values in zip(self._fields, zip(*rows, strict=True), strict=True)
        ]
        lines = map("</TD><TD>".join, zip(*columns, strict=True))
        return ("<TR><TD>" + "</TD></TR>\n<TR><TD>".join(lines) + "</TD></TR>\n").encode()

    @staticmethod
    def _cells(field: Field, values: Sequence[Any]) -> list[str]:
        if field.kind.is_real:
            return ["" if one is None else "NaN" if one != one else repr(float(one)) for one in values]
        if field.kind.is_whole:
            return ["" if one is None else str(int(one)) for one in values]
        known = {one: "" if one is None else content(as_text(one)) for one in set(values)}  # few: a night, a method
        return [known[one] for one in values]

    def end(self, *, rows: int, is_cut: bool = False, error: str = "") -> bytes:
        """After the last row."""
        return ("</TABLEDATA>\n</DATA>\n</TABLE>\n" + _status(rows, is_cut, error) + self._around.end).encode()


class Binary2:
    """VOTable, as binary numbers in base 64."""

    media_type, suffix = "application/x-votable+xml;serialization=binary2", "vot"

    def __init__(self, fields: Sequence[Field], around: Around) -> None:
        self._fields, self._around, self._rest = fields, around, b""

    def start(self) -> bytes:
        """Before the first row."""
        words = "".join(map(field_words, self._fields))
        return f'{self._around.start}<TABLE>\n{words}<DATA>\n<BINARY2>\n<STREAM encoding="base64">\n'.encode()

    def rows(self, rows: Rows) -> bytes:
        """Some rows: which cells are empty, a bit each, and then the cells."""
        columns = list(zip(*rows, strict=True))
        empty = np.packbits(np.array([[one is None for one in column] for column in columns]).T, axis=1)
        cells = [self._cells(field, column) for field, column in zip(self._fields, columns, strict=True)]
        flags = [row.tobytes() for row in empty]
        packed = self._rest + b"".join(chain.from_iterable(zip(flags, *cells, strict=True)))
        whole = len(packed) - len(packed) % 3
        self._rest = packed[whole:]
        return base64.b64encode(packed[:whole]) + b"\n"

    @staticmethod
    def _cells(field: Field, values: Sequence[Any]) -> list[bytes]:
        if field.kind.is_number:
            pack, convert = PACKED[field.kind].pack, int if field.kind.is_whole else float
            nothing = pack(0) if field.kind.is_whole else pack(_NAN)
            return [nothing if one is None else pack(convert(one)) for one in values]
        encoding, width = ("utf-16-be", 2) if field.kind is Kind.TEXT else ("ascii", 1)
        known = {one: b"" if one is None else clean(as_text(one)).encode(encoding, "replace") for one in set(values)}
        counted = {one: _COUNT.pack(len(text) // width) + text for one, text in known.items()}
        return [counted[one] for one in values]

    def end(self, *, rows: int, is_cut: bool = False, error: str = "") -> bytes:
        """After the last row."""
        rest = base64.b64encode(self._rest)
        words = "\n</STREAM>\n</BINARY2>\n</DATA>\n</TABLE>\n" + _status(rows, is_cut, error) + self._around.end
        return rest + words.encode()


class Separated:
    """CSV or TSV with a line of names; what is cut off cannot be said in it."""

    def __init__(self, fields: Sequence[Field], _around: Around, *, separator: str = ",") -> None:
        self._fields, self._separator = fields, separator
        self.media_type, self.suffix = (
            ("text/csv;header=present", "csv") if separator == "," else ("text/tab-separated-values", "tsv")
        )
        self._convert = converters(fields)

    def start(self) -> bytes:
        """The names."""
        return self._lines([[one.name for one in self._fields]])

    def rows(self, rows: Rows) -> bytes:
        """Some rows."""
        return self._lines(
            [
                [
                    "" if one is None else self._cell(convert(one))
                    for convert, one in zip(self._convert, row, strict=True)
                ]
                for row in rows
            ]
        )

    def _cell(self, value: Any) -> Any:
        if not isinstance(value, str):
            return repr(value) if isinstance(value, float) else value
        return f"'{value}" if value.startswith(FORMULA_SIGNS) else value

    def _lines(self, rows: Sequence[Sequence[Any]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._separator).writerows(rows)
        return text.getvalue().encode()

    def end(self, *, rows: int, is_cut: bool = False, error: str = "") -> bytes:  # noqa: ARG002 - as all writers
        """Nothing, but where rows are missing that should be there."""
        return f"# ERROR {error}\r\n".encode() if error else b""


class Fits:
    """A binary table, which is written when all rows are there: its header has their number."""

    media_type, suffix = "application/fits", "fits"

    def __init__(self, fields: Sequence[Field], _around: Around) -> None:
        self._fields = fields
        self._rows: list[tuple[Any, ...]] = []

    def start(self) -> bytes:
        """Nothing yet."""
        return b""

    def rows(self, rows: Rows) -> bytes:
        """Nothing yet."""
        self._rows.extend(rows)
        return b""

    def end(self, *, rows: int, is_cut: bool = False, error: str = "") -> bytes:  # noqa: ARG002 - as all writers
        """All of it; `OVERFLOW` in its header says that there are more rows."""
        from astropy.io import fits
        from astropy.table import MaskedColumn, Table

        if error:
            return b""
        table = Table(meta={"OVERFLOW": is_cut})
        values = list(zip(*self._rows, strict=True)) or [() for _ in self._fields]
        for field, convert, column in zip(self._fields, converters(self._fields), values, strict=True):
            filler: Any = 0 if field.kind.is_number else ""
            data = [filler if one is None else convert(one) for one in column]
            if not field.kind.is_number:
                data = [one.encode("ascii", "backslashreplace").decode() for one in data]
            mask = [one is None for one in column]
            dtype = DTYPES.get(field.kind, "U1" if not data else None)
            table[field.name] = MaskedColumn(np.array(data, dtype=dtype), mask=mask, unit=field.unit or None)
        stream = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(table)]).writeto(stream)
        return stream.getvalue()


def _status(rows: int, is_cut: bool, error: str) -> str:
    return failure(error) if error else overflow(rows) if is_cut else ""


def written(
    writer: Writer, chunks: Iterator[Rows], most: int, bytes_most: int, *, is_whole: bool = False
) -> Iterator[bytes]:
    """The document of rows that come in chunks: ``most`` of them at most, and not many more bytes than may be.

    An error amid the rows, when half of them may be on their way, is told at the end of the document; one that shall
    be ``is_whole`` is not there then.
    """
    total = count = 0
    is_cut = False
    yield writer.start()
    try:
        for chunk in chunks:
            kept = chunk[: most - count]
            count += len(kept)
            if kept:
                part = writer.rows(kept)
                total += len(part)
                yield part
            is_cut = len(kept) < len(chunk) or total > bytes_most
            if is_cut:
                break
    except TianyuError as error:
        if is_whole:
            raise
        yield writer.end(rows=count, error=str(error))
        return
    yield writer.end(rows=count, is_cut=is_cut)
