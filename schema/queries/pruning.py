"""Removing measurements that others have replaced, with the processes that made them.

First the processes go, with keys, history and dependencies, in one transaction that writes down which rows are left
over (`disown`): from then on no publisher, rerun or retry can take them for results. Then the rows go, some at a time
(`batches`); whoever is killed in between leaves the note, and the next one goes on.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import CursorResult, Delete, Table, delete, func, insert, select
from sqlalchemy.orm import Session, aliased

from schema.base import Base, table_of, utc_now
from schema.forced import ForcedFlux, ForcedPlace, ForcedTerm
from schema.image import CALIBRATED, Image
from schema.observing import Observation
from schema.photometry import (
    Aperture,
    Flux,
    LaterFrame,
    LightCurveStatistics,
    ReferenceStar,
    RelativeCalibration,
    RelativeFlux,
    StandardTransformation,
    StandardZeroPoint,
    Variability,
    ZeroPoint,
    ZeroPointStar,
)
from schema.processes import FINISHED, Lease, Process, ProcessAttempt, ProcessDependence, ReadKey, UnwantedRows
from schema.queries.operating import lock
from schema.queries.scheduling import chunks
from schema.skies import SourcePosition

ROWS_PER_DELETE = 10_000  # of one transaction: a tenth of a second
OF_STARS = (ReferenceStar, ZeroPointStar, LightCurveStatistics, Variability)  # rows of one process
OF_IMAGES = (ZeroPoint, StandardZeroPoint)
OF_GRAPH = 0  # instead of a process: all fluxes of the graph's images


class Left(NamedTuple):
    """Rows that are to be removed: of a process, or of all images of a graph."""

    graph_pid: int
    pid: int


class Size(NamedTuple):
    """How many images, sources and apertures a graph has."""

    images: int
    sources: int
    apertures: int


def observations(session: Session) -> list[int]:
    """Those that have light curves."""
    query = select(Observation.observation_id).where(Observation.calibration_pid.is_not(None))
    return list(session.scalars(query.order_by(Observation.observation_id)))


def hold(session: Session, observation_id: int) -> Observation | None:
    """The observation, held against publishers."""
    query = select(Observation).where(Observation.observation_id == observation_id).with_for_update(read=True)
    return session.scalar(query)


def processes(session: Session, observation_id: int) -> Sequence[Process]:
    """All of an observation, in order of PID."""
    return session.scalars(select(Process).where(Process.observation_id == observation_id).order_by(Process.pid)).all()


def now(session: Session) -> Any:
    """The database's time."""
    return session.execute(select(utc_now())).scalar_one()


def parents(session: Session, pids: Sequence[int]) -> set[int]:
    """What these processes depend on."""
    found: set[int] = set()
    for part in chunks(pids):
        query = select(ProcessDependence.parent_pid).where(ProcessDependence.child_pid.in_(part))
        found |= set(session.scalars(query))
    return found


def depended_on(session: Session, pids: Sequence[int]) -> set[int]:
    """Those of these processes on which others depend."""
    found: set[int] = set()
    own = set(pids)
    for part in chunks(pids):
        query = select(ProcessDependence.parent_pid, ProcessDependence.child_pid)
        edges = session.execute(query.where(ProcessDependence.parent_pid.in_(part)))
        found |= {parent for parent, child in edges if child not in own}
    return found


def disown(session: Session, pids: Sequence[int], left: Sequence[Left]) -> bool:
    """Remove processes, and write down which rows they leave over; False where one is at work again."""
    if not all(state in FINISHED for state in lock(session, pids).values()):
        return False
    for part in chunks(pids):
        session.execute(delete(ReadKey).where(ReadKey.pid.in_(part)))
        session.execute(delete(Lease).where(Lease.pid.in_(part)))
        session.execute(delete(ProcessAttempt).where(ProcessAttempt.pid.in_(part)))
        session.execute(delete(ProcessDependence).where(ProcessDependence.child_pid.in_(part)))
        session.execute(delete(ProcessDependence).where(ProcessDependence.parent_pid.in_(part)))
    for part in chunks(pids):
        session.execute(delete(Process).where(Process.pid.in_(part)))
    if left:
        session.execute(insert(UnwantedRows), [one._asdict() for one in left])
    return True


def left_over(session: Session, observation_id: int | None = None) -> list[Left]:
    """What is still to be removed; of each graph its processes' rows before all of its fluxes."""
    query = select(UnwantedRows.graph_pid, UnwantedRows.pid).distinct()
    if observation_id is not None:
        query = query.join(Process, Process.graph_pid == UnwantedRows.graph_pid).where(
            Process.observation_id == observation_id
        )
    rows = session.execute(query.order_by(UnwantedRows.graph_pid, UnwantedRows.pid.desc()))
    return [Left(*row) for row in rows]


def size_of(session: Session, graph_pid: int) -> Size:
    """How many rows a graph's fluxes may have is the product."""
    return Size(len(_images(session, graph_pid)), len(_sources(session, graph_pid)), _apertures(session, graph_pid))


def batches(session: Session, left: Left) -> Iterator[Delete]:
    """Statements that remove the rows, each a few of them; the session is not asked any more."""
    sources, images = _sources(session, left.graph_pid), _images(session, left.graph_pid)
    of_graph = session.get(UnwantedRows, (left.graph_pid, OF_GRAPH)) is not None
    if left.pid == OF_GRAPH:
        bulk: tuple[type[Base], ...] = (Flux, RelativeFlux)
    else:
        bulk = () if of_graph else (RelativeFlux,)
    places = select(ForcedPlace.place).where(ForcedPlace.graph_pid == left.graph_pid).distinct()
    forced = _forced(left, session.scalars(places).all(), len(images) * _apertures(session, left.graph_pid))
    return chain(_batches(left, bulk, sources, images, _apertures(session, left.graph_pid)), forced)


def _forced(left: Left, places: Sequence[int], points: int) -> Iterator[Delete]:
    """Of a list of places, or of one process's terms; ``points``: of a place."""
    if left.pid == OF_GRAPH:
        return
    term, flux, place = map(table_of, (ForcedTerm, ForcedFlux, ForcedPlace))
    lists = select(place.c.pid).where(place.c.graph_pid == left.graph_pid)
    at_once = max(1, ROWS_PER_DELETE // max(1, points))
    for start in range(0, len(places), at_once):
        few = places[start : start + at_once]
        yield _delete(term, left.pid, term.c.placed_pid.in_(lists), term.c.place.in_(few))
        yield from (delete(one).where(one.c.placed_pid == left.pid, one.c.place.in_(few)) for one in (term, flux))
    yield _delete(place, left.pid)


def _batches(
    left: Left, bulk: Sequence[type[Base]], sources: Sequence[int], images: Sequence[int], apertures: int
) -> Iterator[Delete]:
    pid = left.pid
    for few_sources, few_images in _blocks(sources, images, apertures) if bulk else ():
        for table in map(table_of, bulk):
            yield _delete(table, pid, table.c.source_id.in_(few_sources), table.c.image_id.in_(few_images))
    if pid != OF_GRAPH:
        for few in chunks(sources):
            yield from (_delete(table, pid, table.c.source_id.in_(few)) for table in map(table_of, OF_STARS))
        for few in chunks(images):
            yield from (_delete(table, pid, table.c.image_id.in_(few)) for table in map(table_of, OF_IMAGES))
        yield from (_delete(table_of(model), pid) for model in (RelativeCalibration, StandardTransformation))
        later = table_of(LaterFrame)
        yield delete(later).where(later.c.calibration_pid == pid)


def _delete(table: Table, pid: int, *where: Any) -> Delete:
    of_process = () if pid == OF_GRAPH else (table.c.pid == pid,)
    return delete(table).where(*of_process, *where)


def _blocks(
    sources: Sequence[int], images: Sequence[int], apertures: int
) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Sources and images of so many rows, in the order of the tables' keys.

    Each is named: a range would make the server wait for rows of others that are just being written.
    """
    images_at_once = max(1, ROWS_PER_DELETE // apertures)
    sources_at_once = max(1, images_at_once // max(1, len(images)))
    for first in range(0, len(sources), sources_at_once):
        for at in range(0, len(images), images_at_once):
            yield sources[first : first + sources_at_once], images[at : at + images_at_once]


def run(session: Session, statement: Delete) -> int:
    """Remove some rows; returns how many."""
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount


def forget(session: Session, left: Left) -> None:
    """Nothing of it is left."""
    session.execute(delete(UnwantedRows).where(UnwantedRows.graph_pid == left.graph_pid, UnwantedRows.pid == left.pid))


def _sources(session: Session, graph_pid: int) -> Sequence[int]:
    detect = aliased(Process)
    query = select(SourcePosition.source_id).join(detect, detect.pid == SourcePosition.pid)
    return session.scalars(
        query.where(detect.graph_pid == graph_pid).distinct().order_by(SourcePosition.source_id)
    ).all()


def _images(session: Session, graph_pid: int) -> Sequence[int]:
    query = select(Image.image_id).where(Image.graph_pid == graph_pid, Image.kind == CALIBRATED)
    return session.scalars(query.order_by(Image.image_id)).all()


def _apertures(session: Session, graph_pid: int) -> int:
    query = select(func.count()).select_from(Aperture).where(Aperture.graph_pid == graph_pid)
    return max(1, session.execute(query).scalar_one())
