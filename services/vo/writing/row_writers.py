"""Rows of an answer as bytes, a chunk at a time: by columns, which costs a fraction of what cells do."""

import base64
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.errors import TianyuError
from services.vo.answer_columns import AnswerColumn, Chunk
from services.vo.fields import Field, Kind
from services.vo.writing.votable_words import Around, clean, content, failure, field_words, overflow

DTYPES = {Kind.SHORT: "i2", Kind.INT: "i4", Kind.LONG: "i8", Kind.FLOAT: "f4", Kind.DOUBLE: "f8"}
# A spreadsheet would take a text that begins so for a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class Writer(Protocol):
    """One kind of document."""

    media_type: str
    suffix: str

    def start(self) -> bytes:
        """Before the first row."""

    def rows(self, chunk: Chunk) -> bytes:
        """Some rows."""

    def end(self, *, rows: int, is_cut: bool = False, error: str = "") -> bytes:
        """After the last row, of ``rows``: ``is_cut`` where there are more."""


def number_words(column: AnswerColumn) -> list[str]:
    """Numbers as they are read back to the last bit; empty where there is none."""
    numbers = column.values
    assert isinstance(numbers, np.ndarray)
    if column.missing is not None and column.missing.all():
        return [""] * numbers.size
    bits = numbers.view(np.int64)  # which tell -0 from 0
    if numbers.size and (bits == bits[0]).all():
        words = [repr(numbers[0].item())] * numbers.size
    else:
        words = list(map(repr, numbers.tolist()))
    if column.missing is None:
        return words
    return ["" if gone else one for one, gone in zip(words, column.missing.tolist(), strict=True)]


class TableData:
    """VOTable, as text."""

    media_type, suffix = "application/x-votable+xml", "vot"

    def __init__(self, fields: Sequence[Field], around: Around) -> None:
        self._fields, self._around = fields, around

    def start(self) -> bytes:
        """Before the first row."""
        return f"{self._around.start}<TABLE>\n{''.join(map(field_words, self._fields))}<DATA>\n<TABLEDATA>\n".encode()

    def rows(self, chunk: Chunk) -> bytes:
        """Some rows."""
        columns = [self._cells(field, one) for field, one in zip(self._fields, chunk.columns, strict=True)]
        lines = map("</TD><TD>".join, zip(*columns, strict=True))
        return ("<TR><TD>" + "</TD></TR>\n<TR><TD>".join(lines) + "</TD></TR>\n").encode()

    @staticmethod
    def _cells(field: Field, column: AnswerColumn) -> list[str]:
        if field.kind.is_number:
            return number_words(column)
        known = {one: content(one) for one in set(column.values)}
        return [known[one] for one in column.values]

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

    def rows(self, chunk: Chunk) -> bytes:
        """Some rows: which cells are empty, a bit each, and then the cells."""
        none = np.zeros(len(chunk), dtype=bool)
        empty = [none if one.missing is None else one.missing for one in chunk.columns]
        fixed, segments = [np.packbits(np.array(empty).T, axis=1)], []
        for field, column in zip(self._fields, chunk.columns, strict=True):
            if field.kind.is_number:
                fixed.append(_packed(field, column))
                continue
            texts = _counted(field, column)
            if len(set(texts)) == 1:  # a night, a method: as wide in each row as a number
                fixed.append(np.tile(np.frombuffer(texts[0], np.uint8), (len(chunk), 1)))
            else:
                segments += [_row_by_row(fixed), texts]
                fixed = [np.empty((len(chunk), 0), np.uint8)]
        if segments:
            written = b"".join(chain.from_iterable(zip(*segments, _row_by_row(fixed), strict=True)))
        else:
            written = np.concatenate(fixed, axis=1).tobytes()
        packed = self._rest + written
        whole = len(packed) - len(packed) % 3
        self._rest = packed[whole:]
        return base64.b64encode(packed[:whole]) + b"\n"

    def end(self, *, rows: int, is_cut: bool = False, error: str = "") -> bytes:
        """After the last row."""
        rest = base64.b64encode(self._rest)
        words = "\n</STREAM>\n</BINARY2>\n</DATA>\n</TABLE>\n" + _status(rows, is_cut, error) + self._around.end
        return rest + words.encode()


Bytes = NDArray[np.uint8]


def _packed(field: Field, column: AnswerColumn) -> Bytes:
    """Numbers as they are written, uint8[rows, width]."""
    numbers = column.values
    assert isinstance(numbers, np.ndarray)
    if field.kind.is_real and column.missing is not None:
        numbers = np.where(column.missing, np.nan, numbers)
    dtype = np.dtype(f">{DTYPES[field.kind]}")
    return np.ascontiguousarray(numbers, dtype).view(np.uint8).reshape(numbers.size, dtype.itemsize)


def _counted(field: Field, column: AnswerColumn) -> list[bytes]:
    """Texts with the numbers of their characters before them."""
    encoding, width = ("utf-16-be", 2) if field.kind is Kind.TEXT else ("ascii", 1)
    known = {one: clean(one).encode(encoding, "replace") for one in set(column.values)}
    counted = {one: (len(text) // width).to_bytes(4, "big") + text for one, text in known.items()}
    return [counted[one] for one in column.values]


def _row_by_row(fixed: list[Bytes]) -> list[bytes]:
    rows = np.concatenate(fixed, axis=1)
    whole, width = rows.tobytes(), rows.shape[1]
    return [whole[start : start + width] for start in range(0, len(rows) * width, width or 1)] or [b""] * len(rows)


class Separated:
    """CSV or TSV with a line of names; what is cut off cannot be said in it."""

    def __init__(self, fields: Sequence[Field], _around: Around, *, separator: str = ",") -> None:
        self._fields, self._separator = fields, separator
        self.media_type, self.suffix = (
            ("text/csv;header=present", "csv") if separator == "," else ("text/tab-separated-values", "tsv")
        )

    def start(self) -> bytes:
        """The names."""
        return self._lines([[one.name for one in self._fields]])

    def rows(self, chunk: Chunk) -> bytes:
        """Some rows."""
        columns = [self._cells(field, one) for field, one in zip(self._fields, chunk.columns, strict=True)]
        return self._lines(zip(*columns, strict=True))

    @staticmethod
    def _cells(field: Field, column: AnswerColumn) -> list[str]:
        if field.kind.is_number:
            return number_words(column)
        return [f"'{one}" if one.startswith(FORMULA_SIGNS) else one for one in column.values]

    def _lines(self, rows: Iterable[Sequence[str]]) -> bytes:
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
        self._chunks: list[Chunk] = []

    def start(self) -> bytes:
        """Nothing yet."""
        return b""

    def rows(self, chunk: Chunk) -> bytes:
        """Nothing yet."""
        self._chunks.append(chunk)
        return b""

    def end(self, *, rows: int, is_cut: bool = False, error: str = "") -> bytes:  # noqa: ARG002 - as all writers
        """All of it; `OVERFLOW` in its header says that there are more rows."""
        from astropy.io import fits
        from astropy.table import MaskedColumn, Table

        if error:
            return b""
        table = Table(meta={"OVERFLOW": is_cut})
        chunks = self._chunks or [Chunk.of_rows(self._fields, [])]
        for field, parts in zip(self._fields, zip(*(one.columns for one in chunks), strict=True), strict=True):
            missing = [np.zeros(len(one.values), bool) if one.missing is None else one.missing for one in parts]
            data: Any
            if field.kind.is_number:
                data = np.concatenate([one.values for one in parts]).astype(DTYPES[field.kind])
            else:
                texts = [text.encode("ascii", "backslashreplace").decode() for one in parts for text in one.values]
                data = np.array(texts, dtype=None if texts else "U1")
            table[field.name] = MaskedColumn(data, mask=np.concatenate(missing), unit=field.unit or None)
        stream = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(table)]).writeto(stream)
        return stream.getvalue()


def _status(rows: int, is_cut: bool, error: str) -> str:
    return failure(error) if error else overflow(rows) if is_cut else ""


def written(
    writer: Writer, chunks: Iterator[Chunk], most: int, bytes_most: int, *, is_whole: bool = False
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
            kept = chunk.head(most - count)
            count += len(kept)
            if len(kept):
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
