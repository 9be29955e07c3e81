"""What a graph that is made anew takes over from the one before: ends of processes, images, positions of sources.

An image is taken over by a row of its own that names the same file; files are never moved or copied.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Select,
    String,
    Table,
    and_,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session, aliased

from schema.base import table_of
from schema.found import OF_CALIBRATED
from schema.image import Image, ImageParent
from schema.observing import Observation
from schema.processes import FAILED, SUCCEEDED, UNSUCCESSFUL, Process, ProcessAttempt, ProcessDependence
from schema.queries.measurements import insert_rows
from schema.queries.operating import lock
from schema.queries.publishing import ROWS_PER_INSERT, Ended
from schema.queries.scheduling import chunks
from schema.skies import PlateSolution, SkyImage, SourcePosition

_process, _image, _edge = table_of(Process), table_of(Image), table_of(ImageParent)
_OWN = ("image_id", "pid", "graph_pid", "path_digest")  # which an image does not share with that it is taken from
_ENDS = Ended._fields[1:]
_POSITION = tuple(column.name for column in table_of(SourcePosition).c if column.name != "pid")
_SOLUTION = tuple(column.name for column in table_of(PlateSolution).c if column.name not in ("pid", "image_id"))

_dependence = table_of(ProcessDependence)
_EDGES = select(_dependence.c.parent_pid, _dependence.c.child_pid, _process.c.status).join(
    _process, _process.c.pid == _dependence.c.child_pid
)

_parent, Outdated, _ran = aliased(Process), aliased(Process), aliased(ProcessAttempt)
OUTDATED = (
    select(Outdated.pid)
    .join(ProcessDependence, ProcessDependence.child_pid == Outdated.pid)
    .join(_parent, _parent.pid == ProcessDependence.parent_pid)
    .outerjoin(_ran, and_(_ran.pid == Outdated.pid, _ran.attempt == Outdated.attempt, Outdated.origin_pid.is_(None)))
    .where(
        Outdated.status.in_((SUCCEEDED, FAILED)),
        or_(Outdated.origin_pid.is_(None), _parent.graph_pid == Outdated.graph_pid),
        or_(
            _parent.finished_at.is_(None),
            _parent.finished_at > func.coalesce(_ran.started_at, Outdated.finished_at),
            # Of another observation are masters: once, what is calibrated went on without one that failed.
            and_(
                Outdated.status == SUCCEEDED,
                _parent.observation_id != Outdated.observation_id,
                _parent.status.in_(UNSUCCESSFUL),
            ),
        ),
    )
    .distinct()
)


class Keyed(NamedTuple):
    """A process whose key is known."""

    pid: int
    graph_pid: int
    command: str
    parameters: str
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


def outdated(session: Session, pids: Collection[int]) -> set[int]:
    """Those processes that ran before something that they wait for ended, for good or anew, or without it.

    What failed and is tried again ends once more, behind those that went on without it. Of what was taken over only the
    same graph's dependencies count: other graphs' were looked at when it was taken over.
    """
    # By the dependencies: SQLite would walk all processes that have ended, for each part.
    parts = (OUTDATED.where(ProcessDependence.child_pid.in_(part)) for part in chunks(sorted(pids)))
    return {pid for query in parts for pid in session.scalars(query)}


def unlike_their_keys(session: Session, pids: Collection[int]) -> set[int]:
    """Those processes whose results are not those of their keys: outdated ones, and all that follows from these.

    A master that lacks a frame spoils what is calibrated with it. Nothing is looked at but what these came from: a
    night that grows leaves processes behind that waited for all frames of then, and nobody asks for them any more.
    """
    came_from: defaultdict[int, list[int]] = defaultdict(list)
    looked_at: set[int] = set()
    new = set(pids)
    while new:
        looked_at |= new
        for part in chunks(sorted(new)):
            for parent, child, status in session.execute(_EDGES.where(_dependence.c.child_pid.in_(part))).all():
                if status in (SUCCEEDED, FAILED):  # what else is there has no result that its parents can have spoiled
                    came_from[parent].append(child)
        new = came_from.keys() - looked_at
    found = outdated(session, looked_at)
    new = found
    while new:
        new = {child for parent in new for child in came_from.get(parent, ())} - found
        found |= new
    return found.intersection(pids)


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


def ends_of(session: Session, pids: Mapping[int, int]) -> dict[int, Ended]:
    """What new processes begin with that take over the results of old ones (``old: new``).

    What is not the result of its key is taken over by who asks for it on purpose; nobody else takes it for that.
    """
    # Times as they are stored: the ORM's own reading and writing of dates costs four times as much.
    columns = [type_coerce(c, String) if c.name == "finished_at" else c for c in (_process.c[n] for n in _ENDS)]
    found: dict[int, Ended] = {}
    for part in chunks(sorted(pids)):
        query = select(_process.c.pid, *columns).where(_process.c.pid.in_(part))
        found |= {pids[pid]: Ended(pid, *end) for pid, *end in session.execute(query)}
    for pid in unlike_their_keys(session, pids):
        found[pids[pid]] = found[pids[pid]]._replace(result_key=None)
    return found


def take_over_images(session: Session, pids: Mapping[int, int], graph_pid: int) -> dict[int, int]:
    """Give a graph's new processes the images of old ones (``old: new``), with their lineage and what they found.

    The new processes are stored with the old ones as origins, and no others of the graph have any. Columns of images
    are many: they are copied by the server. Returns the ids ``old: new``.
    """
    names = tuple(name for name in _image.c.keys() if name not in _OWN)  # noqa: SIM118 - names of columns
    # Two rows name one file: the digest of the second is of no path, and nobody looks for it.
    digest = literal("taken by ") + cast(_process.c.pid, String)
    copied = select(_process.c.pid, _process.c.graph_pid, digest, *(_image.c[name] for name in names))
    copied = copied.select_from(_process.join(_image, _image.c.pid == _process.c.origin_pid)).order_by(_process.c.pid)
    new_ids: dict[int, int] = {}
    ordered = sorted(pids.values())
    for start in range(0, len(ordered), ROWS_PER_INSERT):  # MariaDB gives out no other ids while one statement inserts
        part = ordered[start : start + ROWS_PER_INSERT]
        of_part = _is_taken(graph_pid) & _process.c.pid.between(part[0], part[-1])
        session.execute(insert(_image).from_select((*_OWN[1:], *names), _straight(copied.where(of_part))))
        ids = select(_old.c.image_id, _new.c.image_id).select_from(_of_both).where(of_part)
        new_ids |= dict(session.execute(_straight(ids)).all())
    _take_over_lineage(session, graph_pid, new_ids)
    for model in OF_CALIBRATED:
        _take_over_all_found(session, table_of(model), graph_pid, pids)
    return new_ids


def _is_taken(graph_pid: int) -> ColumnElement[bool]:
    return and_(_process.c.graph_pid == graph_pid, _process.c.origin_pid.is_not(None))


def _straight(query: Select[Any]) -> Select[Any]:
    """Tables in the order in which they are joined: of rows of this transaction the server has no statistics yet."""
    return query.prefix_with("STRAIGHT_JOIN", dialect="mysql").prefix_with("STRAIGHT_JOIN", dialect="mariadb")


def _stored(column: Column[Any]) -> ColumnElement[Any]:
    """A column as it is stored: a date is read to be written again."""
    return type_coerce(column, String) if isinstance(column.type, DateTime) else column


_old, _new, _made_from = _image.alias(), _image.alias(), _image.alias()
_of_both = _process.join(_old, _old.c.pid == _process.c.origin_pid).join(_new, _new.c.pid == _process.c.pid)
_of_edges = _of_both.join(_edge, _edge.c.image_id == _old.c.image_id).join(
    _made_from, _made_from.c.image_id == _edge.c.parent_id
)


def _take_over_lineage(session: Session, graph_pid: int, new_ids: Mapping[int, int]) -> None:
    """Images of the old graph that the new one took over too are replaced by its own."""
    edges = _straight(select(_new.c.image_id, _edge.c.parent_id).select_from(_of_edges).where(_is_taken(graph_pid)))
    outside = edges.where(_made_from.c.graph_pid.is_distinct_from(_old.c.graph_pid))  # most: frames and masters
    session.execute(insert(_edge).from_select(("image_id", "parent_id"), outside))
    inside = session.execute(edges.where(_made_from.c.graph_pid.is_not_distinct_from(_old.c.graph_pid))).all()
    insert_rows(session, _edge, ("image_id", "parent_id"), [(image, new_ids.get(old, old)) for image, old in inside])


def _take_over_all_found(session: Session, found: Table, graph_pid: int, pids: Mapping[int, int]) -> None:
    """Give a graph's processes (``old: new``) what old ones found of the images that it took over."""
    names = tuple(name for name in found.c.keys() if name not in ("pid", "image_id"))  # noqa: SIM118 - names of columns
    rows = session.execute(
        _straight(
            select(found.c.pid, _new.c.image_id, *(_stored(found.c[name]) for name in names))
            .select_from(_of_both.join(found, found.c.image_id == _old.c.image_id))
            .where(_is_taken(graph_pid))
        )
    )
    taken = ((pids[pid], *values) for pid, *values in rows if pid in pids)
    insert_rows(session, found, ("pid", "image_id", *names), taken)


def take_over_found(session: Session, found: Table, pids: Mapping[int, int], new_ids: Mapping[int, int]) -> None:
    """Give new processes what old ones found (``old: new``) of images (old ids: new ones)."""
    names = tuple(name for name in found.c.keys() if name not in ("pid", "image_id"))  # noqa: SIM118 - names of columns
    columns = [_stored(found.c[name]) for name in names]
    for part in chunks(sorted(new_ids)):
        rows = session.execute(select(found.c.pid, found.c.image_id, *columns).where(found.c.image_id.in_(part)))
        taken = [(pids[pid], new_ids[image_id], *values) for pid, image_id, *values in rows if pid in pids]
        insert_rows(session, found, ("pid", "image_id", *names), taken)


def take_over_detection(session: Session, old_pid: int, new_pid: int, image_ids: Mapping[int, int]) -> None:
    """Give a new `detect` the positions that an old one measured, and sky and template to each other."""
    positions = table_of(SourcePosition)
    session.execute(
        insert(positions).from_select(
            ("pid", *_POSITION),
            select(literal(new_pid), *(positions.c[name] for name in _POSITION)).where(positions.c.pid == old_pid),
        )
    )
    shown = session.execute(
        select(SkyImage.sky_id, SkyImage.image_id, SkyImage.role).where(SkyImage.image_id.in_(image_ids))
    ).all()
    if shown:
        rows = [{"sky_id": sky, "image_id": image_ids[image], "role": role} for sky, image, role in shown]
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


def take_over_solution(session: Session, old_pid: int, new_pid: int, image_ids: Mapping[int, int]) -> None:
    """Give a new `solve` what an old one found of a template."""
    solution = session.get(PlateSolution, old_pid)
    if solution is not None:
        found = {name: getattr(solution, name) for name in _SOLUTION}
        session.add(PlateSolution(pid=new_pid, image_id=image_ids.get(solution.image_id, solution.image_id), **found))


def lock_graph(session: Session, graph_pid: int) -> None:
    """Lock the processes of a graph: nobody revives or cleans up what is about to be taken over."""
    lock(session, session.scalars(select(Process.pid).where(Process.graph_pid == graph_pid)).all())


def of_graph(session: Session, graph_pid: int) -> Sequence[Process]:
    """Processes of a graph in order of PID, locked."""
    lock_graph(session, graph_pid)
    return session.scalars(select(Process).where(Process.graph_pid == graph_pid).order_by(Process.pid)).all()
