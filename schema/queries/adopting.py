"""What a graph that is made anew takes over from the one before: ends of processes, images, positions of sources.

An image is taken over by a row of its own that names the same file; files are never moved or copied.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Select,
    String,
    Table,
    and_,
    bindparam,
    cast,
    insert,
    literal,
    not_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session

from schema.base import table_of
from schema.found import MARK
from schema.image import Image, ImageParent
from schema.observing import Observation
from schema.processes import Process
from schema.queries.finding import insert_found
from schema.queries.measurements import insert_rows
from schema.queries.publishing import ROWS_PER_INSERT
from schema.queries.scheduling import chunks
from schema.queries.spans import spans, within
from schema.skies import PlateSolution, SkyImage, SourcePosition

_process, _image, _edge = table_of(Process), table_of(Image), table_of(ImageParent)
_OF_A_ROW = ("pid", "image_id", MARK)  # which is told anew where a row is taken over
_OWN = ("image_id", "pid", "graph_pid", "path_digest")  # which an image does not share with that it is taken from
_POSITION = tuple(column.name for column in table_of(SourcePosition).c if column.name != "pid")
_SOLUTION = tuple(column.name for column in table_of(PlateSolution).c if column.name not in ("pid", "image_id"))

_of_graph = select(_process.c.pid, _process.c.status, _process.c.error_class)
_of_graph = _of_graph.where(_process.c.graph_pid == bindparam("graph")).order_by(_process.c.pid)
for _dialect in ("mysql", "mariadb"):
    # In the order of the primary key, as others lock: the index of graphs has it behind the graph.
    _of_graph = _of_graph.with_hint(_process, "FORCE INDEX (ix_process_graph_pid)", _dialect)
_LOCK = _of_graph.with_for_update()


class Keyed(NamedTuple):
    """A process whose key is known."""

    pid: int
    graph_pid: int
    command: str
    status: str
    error_class: str | None
    result_key: str


def keyed(session: Session, observation_id: int, graph_pid: int | None = None) -> list[Keyed]:
    """Processes of an observation (or of one graph of it) whose keys are known, in order of PID."""
    query = select(*(_process.c[name] for name in Keyed._fields)).where(
        _process.c.observation_id == observation_id, _process.c.result_key.is_not(None)
    )
    if graph_pid is not None:
        query = query.where(_process.c.graph_pid == graph_pid)
    return [Keyed(*row) for row in session.execute(query.order_by(_process.c.pid))]


def origin_of(session: Session, process: Process) -> Process:
    """The process that ran, for one that was taken over, perhaps from one that was taken over itself."""
    while process.origin_pid is not None:
        process = session.get_one(Process, process.origin_pid)
    return process


def deleted_kinds(session: Session, graph_pid: int) -> set[str]:
    """Kinds of images of which a graph has lost files to `tianyu gc`."""
    query = select(Image.kind).where(Image.graph_pid == graph_pid, Image.deleted_at.is_not(None)).distinct()
    return set(session.scalars(query))


def commands_of(session: Session, graph_pid: int) -> set[str]:
    """Commands of which a graph has processes, in whatever state."""
    return set(session.scalars(select(Process.command).where(Process.graph_pid == graph_pid).distinct()))


def take_over_images(
    session: Session, pids: Mapping[int, int], graph_pid: int, combining: Collection[str], found: Collection[Table]
) -> None:
    """Give a graph's new processes the images of old ones (``old: new``), with their lineage and what they found.

    The new processes are stored with the old ones as origins, and no others of the graph have any. Columns of images
    are many: they are copied by the server. ``combining``: commands whose images are made from others of their own
    graph; ``found``: tables that have rows of the old processes about the images.
    """
    names = tuple(name for name in _image.c.keys() if name not in _OWN)  # noqa: SIM118 - names of columns
    # Two rows name one file: the digest of the second is of no path, and nobody looks for it.
    digest = literal("taken by ") + cast(_process.c.pid, String)
    copied = select(_process.c.pid, _process.c.graph_pid, digest, *(_image.c[name] for name in names))
    copied = copied.select_from(_process.join(_image, _image.c.pid == _process.c.origin_pid)).order_by(_process.c.pid)
    ordered = sorted(pids.values())
    for start in range(0, len(ordered), ROWS_PER_INSERT):  # MariaDB gives out no other ids while one statement inserts
        part = ordered[start : start + ROWS_PER_INSERT]
        of_part = _is_taken(graph_pid) & _process.c.pid.between(part[0], part[-1])
        session.execute(insert(_image).from_select((*_OWN[1:], *names), _straight(copied.where(of_part))))
    _take_over_lineage(session, graph_pid, pids, combining)
    for table in found:
        _take_over_all_found(session, table, graph_pid, pids)


def _new_ids(session: Session, pids: Mapping[int, int], image_ids: Collection[int]) -> dict[int, int]:
    """Of those of these images that were taken over (by ``old: new`` processes): ids ``old: new``."""
    made = {image_id: pid for image_id, pid in _by(session, _image.c.image_id, image_ids) if pid in pids}
    taken = {pid: image_id for image_id, pid in _by(session, _image.c.pid, [pids[pid] for pid in made.values()])}
    return {image_id: taken[pids[pid]] for image_id, pid in made.items()}


def _by(session: Session, column: Column[Any], values: Collection[int]) -> Iterator[tuple[int, int]]:
    for span in spans(set(values)):
        yield from session.execute(select(_image.c.image_id, _image.c.pid).where(within(column, span))).all()


def _is_taken(graph_pid: int) -> ColumnElement[bool]:
    return and_(_process.c.graph_pid == graph_pid, _process.c.origin_pid.is_not(None))


def _straight(query: Select[Any]) -> Select[Any]:
    """Tables in the order in which they are joined: of rows of this transaction the server has no statistics yet."""
    return query.prefix_with("STRAIGHT_JOIN", dialect="mysql").prefix_with("STRAIGHT_JOIN", dialect="mariadb")


def _stored(column: Column[Any]) -> ColumnElement[Any]:
    """A column as it is stored: a date is read to be written again."""
    return type_coerce(column, String) if isinstance(column.type, DateTime) else column


_old, _new = _image.alias(), _image.alias()
_of_both = _process.join(_old, _old.c.pid == _process.c.origin_pid).join(_new, _new.c.pid == _process.c.pid)
_EDGES = select(_new.c.image_id, _edge.c.parent_id).select_from(
    _of_both.join(_edge, _edge.c.image_id == _old.c.image_id)
)


def _take_over_lineage(session: Session, graph_pid: int, pids: Mapping[int, int], combining: Collection[str]) -> None:
    """Images of the old graph that the new one took over too are replaced by its own."""
    edges, combines = _straight(_EDGES.where(_is_taken(graph_pid))), _process.c.command.in_(combining)
    session.execute(insert(_edge).from_select(("image_id", "parent_id"), edges.where(not_(combines))))
    if combining:
        made = session.execute(edges.where(combines)).all()
        new_ids = _new_ids(session, pids, {parent for _, parent in made})
        insert_rows(session, _edge, ("image_id", "parent_id"), [(one, new_ids.get(old, old)) for one, old in made])


def _take_over_all_found(session: Session, found: Table, graph_pid: int, pids: Mapping[int, int]) -> None:
    """Give a graph's processes (``old: new``) what old ones found of the images that it took over."""
    rows = session.execute(
        _straight(
            select(found.c.pid, _new.c.image_id, *_said(found))
            .select_from(_of_both.join(found, found.c.image_id == _old.c.image_id))
            .where(_is_taken(graph_pid))
        )
    )
    _insert_taken(session, found, rows, pids)


def take_over_found(session: Session, found: Table, pids: Mapping[int, int], new_ids: Mapping[int, int]) -> None:
    """Give new processes what old ones found (``old: new``) of images (old ids: new ones)."""
    for part in chunks(sorted(new_ids)):
        rows = session.execute(select(found.c.pid, found.c.image_id, *_said(found)).where(found.c.image_id.in_(part)))
        _insert_taken(session, found, ((pid, new_ids[old], *values) for pid, old, *values in rows), pids)


def _said(found: Table) -> list[ColumnElement[Any]]:
    return [_stored(column) for column in found.c if column.name not in _OF_A_ROW]


def _insert_taken(session: Session, found: Table, rows: Iterable[Sequence[Any]], pids: Mapping[int, int]) -> None:
    """Rows of old PIDs and new images, of which those are taken whose process is."""
    names = ["pid", "image_id", *(name for name in found.c.keys() if name not in _OF_A_ROW)]  # noqa: SIM118
    taken = [(pids[pid], *values) for pid, *values in rows if pid in pids]
    if MARK in found.c:
        insert_found(session, found, [dict(zip(names, row, strict=True)) for row in taken])
    else:
        insert_rows(session, found, names, taken)


def take_over_detection(session: Session, old_pid: int, pids: Mapping[int, int]) -> None:
    """Give a new `detect` the positions that an old one measured, and sky and template to each other.

    ``pids``: processes of the old graph that are taken over, ``old: new``.
    """
    new_pid = pids[old_pid]
    positions = table_of(SourcePosition)
    session.execute(
        insert(positions).from_select(
            ("pid", *_POSITION),
            select(literal(new_pid), *(positions.c[name] for name in _POSITION)).where(positions.c.pid == old_pid),
        )
    )
    made = select(SkyImage.sky_id, SkyImage.image_id, SkyImage.role, Image.pid)
    made = made.join(Image, Image.image_id == SkyImage.image_id).join(Process, Process.graph_pid == Image.graph_pid)
    shown = [one for one in session.execute(made.where(Process.pid == old_pid)) if one.pid in pids]
    if shown:
        image_ids = _new_ids(session, pids, {one.image_id for one in shown})
        rows = [{"sky_id": one.sky_id, "image_id": image_ids[one.image_id], "role": one.role} for one in shown]
        session.execute(insert(SkyImage), rows)
        of_new = select(Process.observation_id).where(Process.pid == new_pid).scalar_subquery()
        session.execute(update(Observation).where(Observation.observation_id == of_new).values(sky_id=shown[0].sky_id))


def solved_by(session: Session, graph_pid: int) -> int | None:
    """PID of the process that solved the template of a graph; the newest where there are several."""
    return session.scalar(
        select(PlateSolution.pid)
        .join(Process, Process.pid == PlateSolution.pid)
        .where(Process.graph_pid == graph_pid, PlateSolution.solved)
        .order_by(PlateSolution.pid.desc())
        .limit(1)
    )


def take_over_solution(session: Session, old_pid: int, new_pid: int, pids: Mapping[int, int]) -> None:
    """Give a new `solve` what an old one found of a template; ``pids``: processes that are taken over, ``old: new``."""
    solution = session.get(PlateSolution, old_pid)
    if solution is not None:
        image_ids = _new_ids(session, pids, {solution.image_id})
        found = {name: getattr(solution, name) for name in _SOLUTION}
        session.add(PlateSolution(pid=new_pid, image_id=image_ids.get(solution.image_id, solution.image_id), **found))


def lock_graph(session: Session, graph_pid: int) -> dict[int, tuple[str, str | None]]:
    """Lock the processes of a graph: nobody revives or cleans up what is about to be taken over.

    Returns the state and the class of the error of each.
    """
    return {pid: (status, error_class) for pid, status, error_class in session.execute(_LOCK, {"graph": graph_pid})}


def of_graph(session: Session, graph_pid: int) -> Sequence[Process]:
    """Processes of a graph in order of PID, locked."""
    lock_graph(session, graph_pid)
    return session.scalars(select(Process).where(Process.graph_pid == graph_pid).order_by(Process.pid)).all()
