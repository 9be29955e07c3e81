"""Exposures as processes: frames that there will be, and the numbers by which graphs know frames.

A frame that was ingested is known by its image id. One that a `capture` takes has no row before it is taken: it is
known by that process's PID, before and after. Image ids are 32-bit numbers, PIDs far above.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.image import CapturedFrame, Image
from schema.observing import Observation
from schema.processes import CAPTURE, RUNNING, UNFINISHED, UNSUCCESSFUL, Process, ProcessGroup, Site
from schema.queries.images import path_digest
from schema.queries.scheduling import chunks

MOST_IMAGES = 2**31 - 1  # ids end there


def is_capture(number: int) -> bool:
    """Whether the number of a frame is the PID of the process that takes it."""
    return number > MOST_IMAGES


# A join and a column for queries of images.
OF_CAPTURE = and_(CapturedFrame.image_id == Image.image_id, CapturedFrame.header_digest == Image.header_digest)
NUMBER: ColumnElement[int] = case((CapturedFrame.pid.is_not(None), CapturedFrame.pid), else_=Image.image_id)


def image_ids(session: Session, numbers: Iterable[int]) -> dict[int, int]:
    """Image ids of frames by their numbers; a frame that was not taken has none."""
    found: dict[int, int] = {}
    captures = []
    for number in numbers:
        if is_capture(number):
            captures.append(number)
        else:
            found[number] = number
    for part in chunks(sorted(captures)):
        query = select(CapturedFrame.pid, CapturedFrame.image_id).where(CapturedFrame.pid.in_(part))
        found |= dict(session.execute(query).all())
    return found


def to_come(session: Session, observation_id: int, *, missed: bool = False) -> list[int]:
    """PIDs of an observation's exposures that are still to be taken, in order; ``missed``: and of those that failed."""
    states = (*UNFINISHED, *UNSUCCESSFUL) if missed else UNFINISHED
    query = select(Process.pid).where(
        Process.observation_id == observation_id, Process.command == CAPTURE, Process.status.in_(states)
    )
    return list(session.scalars(query.order_by(Process.pid)))


def of_plan(session: Session, observations: Collection[int], plan: str) -> dict[str, int]:
    """How many exposures of these observations a plan (its digest) has, by state."""
    named = Process.parameters.contains(f'"plan":"{plan}"', autoescape=True)
    query = select(Process.status, func.count()).where(
        Process.observation_id.in_(observations), Process.command == CAPTURE, named
    )
    return dict(session.execute(query.group_by(Process.status)).all())


def last_to_come(session: Session, site: str, group: str, begin: datetime | None, priority: int) -> int | None:
    """PID of the last exposure of a telescope that is still to come and goes before a new plan.

    It is of a plan that begins no later (``begin``: UTC, None: now) and is no less urgent.
    """
    query = (
        select(func.max(Process.pid))
        .join(Site, Site.site_id == Process.site_id)
        .join(ProcessGroup, ProcessGroup.group_id == Process.group_id)
        .where(Site.name == site, ProcessGroup.name == group, Process.command == CAPTURE)
        .where(Process.status.in_(UNFINISHED), Process.priority <= priority)
        .where(or_(Process.not_before.is_(None), Process.not_before <= (utc_now() if begin is None else begin)))
    )
    return session.scalar(query)


def numbers_to_come(session: Session, observations: Collection[int]) -> dict[int, int]:
    """How many exposures are still to be taken, by observation; those without any are left out."""
    query = select(Process.observation_id, func.count()).where(
        Process.observation_id.in_(observations), Process.command == CAPTURE, Process.status.in_(UNFINISHED)
    )
    return {number: count for number, count in session.execute(query.group_by(Process.observation_id)) if number}


def sizes_taken(session: Session, observation: Observation) -> set[tuple[int | None, int | None]]:
    """Sizes (ny, nx) of frames that were taken before by the camera of an observation in its binning."""
    query = (
        select(Image.ny, Image.nx)
        .join(CapturedFrame, CapturedFrame.image_id == Image.image_id)
        .join(Observation, Observation.observation_id == Image.observation_id)
        .where(Observation.instrument_id == observation.instrument_id, Observation.binning == observation.binning)
        .distinct()
    )
    return {(ny, nx) for ny, nx in session.execute(query)}


def graph_of_captures(session: Session, observation_id: int) -> int | None:
    """PID of the graph of an observation that has exposures and nothing else yet: what is made of them goes into it."""
    others = func.sum(case((Process.command == CAPTURE, 0), else_=1))
    query = select(Process.graph_pid).where(Process.observation_id == observation_id).group_by(Process.graph_pid)
    return session.scalar(query.having(others == 0).order_by(Process.graph_pid.desc()).limit(1))


def image_at(session: Session, site_id: int, path: str) -> int | None:
    """Id of the image that is registered with a path."""
    return session.scalar(select(Image.image_id).where(Image.path_digest == path_digest(site_id, path)))


HELD, ANOTHERS, ENDED = "held", "another's", "ended"


def state_of(session: Session, pid: int, attempt: int) -> str:
    """Whether an attempt still holds its process; else whether another does, or will, or the process has ended."""
    status, newest = session.execute(select(Process.status, Process.attempt).where(Process.pid == pid)).one()
    if status == RUNNING and newest == attempt:
        return HELD
    return ANOTHERS if status in UNFINISHED else ENDED


def captured_images(session: Session, numbers: Sequence[int]) -> list[Image]:
    """Images of frames by their numbers, in that order; frames that were not taken are left out."""
    ids = image_ids(session, numbers)
    wanted = [ids[number] for number in numbers if number in ids]
    rows: dict[int, Image] = {}
    for part in chunks(wanted):
        rows |= {image.image_id: image for image in session.scalars(select(Image).where(Image.image_id.in_(part)))}
    return [rows[image_id] for image_id in wanted]
