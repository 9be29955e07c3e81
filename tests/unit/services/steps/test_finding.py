"""Of several rows about an image the newest process's has the mark, in whatever order and way they are written."""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from schema.base import Base, table_of
from schema.found import OF_CALIBRATED, FoundAlignment, FrameSight, MaskedPixels, ReferenceFrame, Verdict
from schema.prepared import run
from schema.queries.finding import Finding, insert_found

MARKED = {
    FoundAlignment: {"dx": 1.5, "matches": 20},
    Verdict: {"good": False, "reason": "clouds", "weight": 0.0},
    FrameSight: {"bjd_tdb": 2460000.25},
    MaskedPixels: {"hot_pixels": 1, "cosmic_rays": 2},
}
FIRST, SECOND, THIRD = 10, 11, 12
Rows = Sequence[dict[str, Any]]


def row(model: type[Base], image_id: int, pid: int) -> dict[str, Any]:
    names = [name for name in table_of(model).c.keys() if name != "is_newest"]  # noqa: SIM118 - names of columns
    return dict.fromkeys(names) | MARKED[model] | {"image_id": image_id, "pid": pid}


def one_by_one(session: Session, model: type[Base], rows: Rows) -> None:
    write = Finding(model)
    for one in rows:
        run(session, *write(**one))


def as_a_list(session: Session, model: type[Base], rows: Rows) -> None:
    insert_found(session, table_of(model), rows)


def as_lists_of_one(session: Session, model: type[Base], rows: Rows) -> None:
    for one in rows:
        insert_found(session, table_of(model), [one])


def marks(session: Session, model: type[Base]) -> dict[tuple[int, int], bool | None]:
    table = table_of(model)
    query = select(table.c.image_id, table.c.pid, table.c.is_newest)
    return {(image, pid): mark for image, pid, mark in session.execute(query)}


@pytest.mark.parametrize("write", [one_by_one, as_a_list, as_lists_of_one])
def test_the_newest_is_marked_in_whatever_order_they_come(
    any_session: Session, write: Callable[[Session, type[Base], Rows], None]
) -> None:
    assert {*MARKED} == {*OF_CALIBRATED} - {ReferenceFrame}
    for model in MARKED:
        write(any_session, model, [])
        for image, order in enumerate(permutations((FIRST, SECOND, THIRD)), start=1):
            write(any_session, model, [row(model, image, pid) for pid in order])
        expected = {(n, pid): True if pid == THIRD else None for n in range(1, 7) for pid in (FIRST, SECOND, THIRD)}
        assert marks(any_session, model) == expected
        table = table_of(model)
        for found in any_session.execute(select(table)).mappings():
            assert {name: found[name] for name in MARKED[model]} == MARKED[model]


@pytest.mark.parametrize("model", MARKED)
def test_who_does_not_know_of_the_mark_writes_a_first_row_and_no_second(any_session: Session, model: Any) -> None:
    write = insert(table_of(model))
    any_session.execute(write, row(model, 1, FIRST))
    assert marks(any_session, model) == {(1, FIRST): True}
    with pytest.raises(IntegrityError), any_session.begin_nested():
        any_session.execute(write, row(model, 1, SECOND))
    assert marks(any_session, model) == {(1, FIRST): True}
