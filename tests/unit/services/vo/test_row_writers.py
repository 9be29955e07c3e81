"""Each kind of document says what the rows say, to the last bit, wherever something is missing."""

import io
from datetime import date
from math import inf, pi
from typing import Any

import numpy as np
import pytest
from astropy.io.votable import parse_single_table
from astropy.table import Table

from services.vo.answer_columns import Chunk
from services.vo.answer_formats import writer_for
from services.vo.fields import Field, Kind
from services.vo.vo_errors import RefusedError
from services.vo.writing.row_writers import written
from services.vo.writing.votable_words import around

FIELDS = [
    Field("short", Kind.SHORT),
    Field("method", Kind.CHAR),
    Field("long", Kind.LONG),
    Field("name", Kind.TEXT),
    Field("real", Kind.DOUBLE),
    Field("none", Kind.INT),
    Field("night", Kind.CHAR),
]
NAMES = ["ö & <b>", "", "x" * 300, "=1+1"]
REALS = [pi, -0.0, 5e-324, -inf, 1e22, 0.1]
ROWS: list[tuple[Any, ...]] = [
    (
        None if n % 4 == 0 else n - 8,
        "ensemble",
        2**62 + n if n % 3 else -(2**63),
        None if n % 5 == 0 else NAMES[n % len(NAMES)],
        None if n % 7 == 0 else REALS[n % len(REALS)],
        None,
        date(2026, 2, 1 + n),
    )
    for n in range(20)
]


def document(name: str, rows: list[tuple[Any, ...]], most: int = 100) -> bytes:
    """In chunks of seven rows, of which one is of one row, whose texts are all alike."""
    chunks = (Chunk.of_rows(FIELDS, rows[start : start + 7]) for start in range(0, len(rows), 7))
    return b"".join(written(writer_for(name, FIELDS, around(FIELDS, {})), chunks, most, 10**9))


@pytest.mark.parametrize("name", ["votable", "votable/b2"])
@pytest.mark.parametrize("count", [0, 1, 8, 20])
def test_votables_say_what_rows_say(name: str, count: int) -> None:
    rows = [*ROWS[:count]]
    read = parse_single_table(io.BytesIO(document(name, rows))).to_table()
    assert read.colnames == [one.name for one in FIELDS]
    for number, field in enumerate(FIELDS):
        column = read[field.name]
        gone = np.ma.getmaskarray(np.ma.asarray(column))
        for row, found, is_gone in zip(rows, column.tolist(), gone.tolist(), strict=True):
            value = row[number]
            if field.kind.is_number:
                assert is_gone == (value is None)
                assert value is None or found == value
                assert value != 0 or str(found) == str(value)
            else:
                assert (found or "") == ("" if value is None else str(value))


def test_texts_of_others_say_what_rows_say() -> None:
    lines = document("tsv", ROWS).decode().split("\r\n")
    assert len(lines) == 1 + len(ROWS) + 1
    for line, row in zip(lines[1:], ROWS, strict=False):
        found = line.split("\t")
        assert [one == "" for one in found] == [one is None or one == "" for one in row]
        assert found[2] == str(row[2])
        assert row[4] is None or float(found[4]) == row[4]
        assert found[3] == ("'=1+1" if row[3] == "=1+1" else row[3] or "")
    binary = Table.read(io.BytesIO(document("fits", ROWS)), format="fits")
    assert binary["long"].tolist() == [row[2] for row in ROWS]
    assert binary["none"].mask.all()


def test_rows_are_cut_where_there_are_more() -> None:
    cut = document("votable", ROWS, 10)
    assert cut.count(b"<TR>") == 10
    assert b"OVERFLOW" in cut
    assert b"OVERFLOW" not in document("votable", ROWS, len(ROWS))


@pytest.mark.parametrize(("kind", "number"), [(Kind.SHORT, 2**15), (Kind.INT, -(2**31) - 1), (Kind.LONG, 2**63)])
def test_a_number_that_has_no_room_is_refused(kind: Kind, number: int) -> None:
    with pytest.raises(RefusedError, match="column 'much' is too large"):
        Chunk.of_rows([Field("much", kind)], [(number,)])
