"""Calibrated frames with what was found of them, and frames of the camera that nobody could use."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, delete, func, insert, or_, select
from sqlalchemy.orm import Session

from schema.base import table_of
from schema.found import ReferenceFrame, Rejection
from schema.frame import ANY_PID, Frame
from schema.image import CapturedFrame, FrameNote, Image
from schema.observing import Instrument, Observation, ObsSite
from schema.queries.capturing import NUMBER, OF_CAPTURE, image_ids, is_capture
from schema.queries.scheduling import chunks
from schema.queries.spans import spans, within

# Why the last process that spoke of an image could not use it; NULL where it is not rejected.
_REASON = (
    select(Rejection.reason)
    .where(Rejection.image_id == Image.image_id)
    .order_by(Rejection.rejection_id.desc())
    .limit(1)
    .correlate(Image)
    .scalar_subquery()
)
REJECTED = or_(Image.good.is_(False), _REASON.is_not(None))  # a frame of the camera, by ingest or by a process
USABLE = and_(Image.good.is_not(False), _REASON.is_(None))
REJECT_REASON = func.coalesce(Image.reject_reason, _REASON)


_BY_PID = select(Frame).where(Frame.pid == bindparam("pid"))
_BY_PIDS = select(Frame).where(Frame.pid.in_(bindparam("pids", expanding=True))).order_by(Frame.pid)
_TRIED = select(Image, _REASON).where(Image.image_id == bindparam("number"))


def by_pid(session: Session, pid: int, before: int = ANY_PID) -> Frame | None:
    """The frame that a `calibrate` made, with what processes ``before`` this PID found of it; None without one."""
    return session.scalar(_BY_PID, {"pid": pid, "before": before})


def by_pids(session: Session, pids: Sequence[int], before: int = ANY_PID) -> list[Frame]:
    """Frames that these processes made, in order of PID."""
    return list(session.scalars(_BY_PIDS, {"pids": pids, "before": before}))


def of_graph(
    session: Session, graph_pid: int, before: int = ANY_PID, columns: tuple[str, ...] | None = None
) -> list[Frame]:
    """Frames that processes of a graph ``before`` this PID made, in order of PID: plain rows, for there are many.

    With some ``columns`` only these: the server need not look for what else was found.
    """
    rows: Any = session.execute(_of_graph(columns), {"graph_pid": graph_pid, "before": before}).all()
    found: list[Frame] = rows
    return found


@cache
def _of_graph(columns: tuple[str, ...] | None) -> Select[Any]:
    table = Frame.__table__
    query = select(*(table.c if columns is None else (table.c[name] for name in columns)))
    query = query.where(table.c.graph_pid == bindparam("graph_pid"), table.c.pid < bindparam("before"))
    return query.order_by(table.c.pid)


def reference_of(session: Session, graph_pid: int) -> Image | None:
    """The image that those of a graph which made its template are aligned to; None where that is another night's."""
    query = select(Image).join(ReferenceFrame, ReferenceFrame.image_id == Image.image_id)
    return session.scalar(query.where(Image.graph_pid == graph_pid).order_by(ReferenceFrame.pid.desc()).limit(1))


def of_camera(session: Session, observation_id: int, kind: str, *, refused: bool = False) -> list[Image]:
    """Usable frames of an observation, in order of time, then of name.

    With ``refused`` those too that ingest took and a process could not use.
    """
    return list(session.scalars(_of_camera(select(Image), observation_id, kind, refused=refused)))


def ids_of_camera(session: Session, observation_id: int, kind: str, *, refused: bool = False) -> list[int]:
    """Numbers of the same (`capturing`): image ids, and behind them PIDs of those that a process took, in order."""
    query = select(NUMBER).select_from(Image).outerjoin(CapturedFrame, OF_CAPTURE)
    numbers = session.scalars(_of_camera(query, observation_id, kind, refused=refused)).all()
    taken = {number for number in numbers if is_capture(number)}
    return [*(number for number in numbers if number not in taken), *sorted(taken)]


def _of_camera(query: Select[Any], observation_id: int, kind: str, *, refused: bool) -> Select[Any]:
    usable = Image.good.is_not(False) if refused else USABLE
    query = query.where(Image.observation_id == observation_id, Image.kind == kind, usable)
    return query.order_by(Image.start_jd_utc, Image.path, Image.image_id)


_REGISTERED = (
    *(Image.kind, Image.path_digest, Image.ny, Image.nx, Image.size_bytes, Image.exposure_s, Image.start_jd_utc),
    *(Image.jd_utc, Image.bjd_tdb, Image.hjd_utc, Image.jd_tdb, Image.observer_x, Image.observer_y, Image.observer_z),
    *(Image.airmass, Image.altitude_deg, Image.azimuth_deg, Image.gain, Image.gain_source, Image.read_noise),
    *(Image.read_noise_source, Image.saturation, Image.linearity),
    *(Observation.ra_deg, Observation.dec_deg, Observation.pixel_scale_arcsec, Instrument.diameter_m),
    *(ObsSite.longitude_deg, ObsSite.latitude_deg, ObsSite.elevation_m),
    Image.geometry,
)


def registered(session: Session, image_ids: Sequence[int]) -> dict[int, list[Any]]:
    """All that ingest registered of frames of the camera and of how they were taken, by image id."""
    query = (
        select(Image.image_id, *_REGISTERED)
        .join(Observation, Observation.observation_id == Image.observation_id)
        .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
        .outerjoin(ObsSite, ObsSite.obs_site_id == Observation.obs_site_id)
    )
    wanted = set(image_ids)
    found: dict[int, list[Any]] = {}
    for part in spans(wanted):
        for image_id, *facts in session.execute(query.where(within(Image.image_id, part))):
            if image_id in wanted:  # as it was before frames had a geometry
                found[image_id] = facts if facts[-1] is not None else facts[:-1]
    return found


def reasons(session: Session, observation_id: int | None) -> list[str]:
    """Why frames of an observation cannot be used, of each that cannot."""
    query = select(REJECT_REASON).where(Image.observation_id == observation_id, Image.pid.is_(None), REJECTED)
    return [reason or "no reason was kept" for reason in session.scalars(query.order_by(Image.image_id))]


def note_down(session: Session, notes: Mapping[int, Sequence[str]]) -> None:
    """Write down what ingest found of these frames, in place of what it found before; notes by image id."""
    for part in chunks(sorted(notes)):
        session.execute(delete(FrameNote).where(FrameNote.image_id.in_(part)))
    rows = [
        {"image_id": image_id, "number": number, "note": note}
        for image_id, found in notes.items()
        for number, note in enumerate(found)
    ]
    if rows:
        session.execute(insert(table_of(FrameNote)), rows)


def add_note(session: Session, image_id: int, note: str) -> None:
    """Write down what was found of a frame when its pixels were read, once."""
    known = dict(session.execute(select(FrameNote.note, FrameNote.number).where(FrameNote.image_id == image_id)).all())
    if note not in known:
        number = max(known.values(), default=-1) + 1
        session.execute(insert(table_of(FrameNote)), [{"image_id": image_id, "number": number, "note": note}])


def notes_by_observation(session: Session, observation_id: int | None = None) -> dict[int, list[tuple[str, int]]]:
    """What ingest noted, with the number of frames that it holds for, by observation; of one or of all."""
    query = (
        select(Image.observation_id, FrameNote.note, func.count())
        .join(FrameNote, FrameNote.image_id == Image.image_id)
        .where(Image.observation_id.is_not(None))
        .group_by(Image.observation_id, FrameNote.note)
        .order_by(Image.observation_id, func.min(Image.image_id), FrameNote.note)
    )
    if observation_id is not None:
        query = query.where(Image.observation_id == observation_id)
    found: dict[int, list[tuple[str, int]]] = {}
    for observation, note, count in session.execute(query):
        found.setdefault(int(observation or 0), []).append((note, count))
    return found


def by_number(session: Session, number: int) -> Image:
    """The frame of the camera by its number.

    Raises:
        LookupError: it was not taken.
    """
    return tried_before(session, number)[0]


def tried_before(session: Session, number: int) -> tuple[Image, bool]:
    """A frame of the camera by its number, and whether a process could not use it.

    Raises:
        LookupError: it was not taken.
    """
    image_id = image_ids(session, [number]).get(number)
    if image_id is None:
        raise LookupError(f"process {number} took no frame")
    frame, reason = session.execute(_TRIED, {"number": image_id}).one()
    return frame, reason is not None


def reject(session: Session, reasons: Mapping[int, str], pid: int) -> None:
    """Write down why process ``pid`` could not use frames of the camera; reasons by the frame's number."""
    ids = image_ids(session, reasons)
    rows = ((ids[number], reason) for number, reason in reasons.items() if number in ids)
    _write(session, ({"image_id": image_id, "pid": pid, "reason": reason} for image_id, reason in rows))


def accept(session: Session, numbers: Sequence[int], pid: int | None) -> None:
    """Take back what processes said of those of these frames (numbers) that are rejected: they are looked at again.

    ``pid``: whose frames they are now, None for ingest. What ingest refused stays refused.
    """
    for part in chunks(sorted(image_ids(session, numbers).values())):
        rejected = select(Image.image_id).where(Image.image_id.in_(part), _REASON.is_not(None))
        _write(session, [{"image_id": one, "pid": pid, "reason": None} for one in session.scalars(rejected).all()])


def _write(session: Session, rows: Iterable[dict[str, Any]]) -> None:
    if listed := list(rows):
        session.execute(insert(table_of(Rejection)), listed)
