"""What processes found of images is written with the mark of the newest, see `schema.found`."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, bindparam, case, exists, insert, null, select, update
from sqlalchemy.orm import Session

from schema.base import Base, table_of
from schema.found import MARK
from schema.prepared import Call, Prepared
from schema.queries.measurements import insert_rows
from schema.queries.scheduling import chunks


class Finding:
    """What writes one row of a table, of any of `schema.found` that has the mark."""

    def __init__(self, model: type[Base]) -> None:
        table = table_of(model)
        values = {one.name: bindparam(one.name, type_=one.type) for one in table.c if one.name != MARK}
        found, newer = table.c, table.alias()
        is_outdated = exists().where(newer.c.image_id == values["image_id"], newer.c.pid > values["pid"])
        mark = case((is_outdated, null()), else_=1)
        self._outdate = Prepared(
            update(table)
            .where(found.image_id == values["image_id"], found[MARK] == 1, found.pid < values["pid"])
            .values({MARK: null()})
        )
        self._insert = Prepared(insert(table).from_select((*values, MARK), select(*values.values(), mark)))

    def __call__(self, *, image_id: int, pid: int, **found: Any) -> tuple[Call, Call]:
        """The statements, in their order."""
        key = {"image_id": image_id, "pid": pid}
        return self._outdate(**key), self._insert(**key, **found)


def insert_found(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of any images, which have all columns but the mark."""
    newest: dict[int, int] = {}
    for row in rows:
        newest[row["image_id"]] = max(row["pid"], newest.get(row["image_id"], 0))
    of_image, is_marked = table.c.image_id, table.c[MARK] == 1
    for part in chunks(sorted(newest)):
        there = session.execute(select(of_image, table.c.pid).where(of_image.in_(part), is_marked)).all()
        if outdated := [image_id for image_id, pid in there if pid < newest[image_id]]:
            session.execute(update(table).where(of_image.in_(outdated), is_marked).values({MARK: null()}))
        newest |= {image_id: max(pid, newest[image_id]) for image_id, pid in there}
    names = [name for name in table.c.keys() if name != MARK]  # noqa: SIM118 - names of columns
    marked = ((*(row[name] for name in names), True if newest[row["image_id"]] == row["pid"] else None) for row in rows)
    insert_rows(session, table, (*names, MARK), marked)
