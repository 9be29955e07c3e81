"""All observations of calibration frames with the newest master of each: a few queries, however many there are."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, aliased

from schema.image import CALIBRATED, Image, ImageParent
from schema.observing import BIAS, DARK, FLAT, Filter, Instrument, Observation, Target
from schema.queries.frames import REJECTED
from services.masters import MASTERS


@dataclass(frozen=True)
class CalibrationFrames:
    """One observation of calibration frames, and the newest master that was made of them.

    ``level``: of a bias and of flats above the bias ADU, of a dark without bias ADU a second. ``noise``: of one frame
    of a bias or dark ADU, of a pixel of the master flat as a share. ``used_by``: observations of the sky whose frames
    were calibrated with a master of these.
    """

    observation_id: int
    kind: str
    instrument: str
    telescope: str
    binning: str
    setting: str  # gain, offset, read mode, temperature, as headers tell
    temperature_c: float | None
    exposure_s: float
    filter: str
    night: date
    reduced: str
    frames: int
    rejected: int
    used_by: int
    master_pid: int | None = None
    of_frames: int | None = None  # that are in the master
    level: float | None = None
    noise: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Numbers and texts only; the night as ISO 8601."""
        return vars(self) | {"night": self.night.isoformat()}


def library(session: Session) -> list[CalibrationFrames]:
    """All there are, by kind, instrument and night."""
    frames = _frames(session)
    used = _used_by(session)
    masters = _masters(session)
    rows = session.execute(
        select(Observation, Target.kind, Instrument.name, Instrument.telescope, Filter.name)
        .join(Target, Target.target_id == Observation.target_id)
        .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
        .join(Filter, Filter.filter_id == Observation.filter_id)
        .where(Target.kind.in_((BIAS, DARK, FLAT)))
        .order_by(Target.kind, Instrument.name, Observation.night, Observation.observation_id)
    ).all()
    found = []
    for one, kind, instrument, telescope, filter_name in rows:
        count, rejected, warmth = frames.get(one.observation_id, (0, 0, None))
        found.append(
            CalibrationFrames(
                one.observation_id,
                kind,
                instrument,
                telescope,
                one.binning,
                one.setting,
                warmth,
                one.exposure_s,
                filter_name,
                one.night,
                one.reduced,
                count,
                rejected,
                used.get(one.observation_id, 0),
                **masters.get(one.observation_id, {}),
            )
        )
    return found


def _frames(session: Session) -> dict[int, tuple[int, int, float | None]]:
    """Frames, rejected ones and the mean temperature of the others, by observation."""
    query = (
        select(
            Image.observation_id,
            func.count(),
            func.sum(case((REJECTED, 1), else_=0)),
            func.avg(case((REJECTED, None), else_=Image.temperature_c)),
        )
        .where(Image.kind.in_((BIAS, DARK, FLAT)), Image.pid.is_(None), Image.observation_id.is_not(None))
        .group_by(Image.observation_id)
    )
    return {
        int(number or 0): (int(count), int(rejected or 0), None if warmth is None else float(warmth))
        for number, count, rejected, warmth in session.execute(query)
    }


def _masters(session: Session) -> dict[int, dict[str, Any]]:
    """The newest master of each observation whose file is there."""
    newest = (
        select(func.max(Image.pid))
        .where(Image.kind.in_(MASTERS.values()), Image.deleted_at.is_(None))
        .group_by(Image.observation_id)
    )
    found = {}
    for master in session.scalars(select(Image).where(Image.pid.in_(newest))):
        found[master.observation_id or 0] = {
            "master_pid": master.pid,
            "of_frames": None if master.weight is None else round(master.weight),
            "level": master.background,
            "noise": master.flat_error if master.kind == MASTERS[FLAT] else master.background_rms,
        }
    return found


def _used_by(session: Session) -> dict[int, int]:
    """By observation of calibration frames: how many observations have calibrated frames of its masters."""
    master, made = aliased(Image), aliased(Image)
    query = (
        select(master.observation_id, func.count(made.observation_id.distinct()))
        .join(ImageParent, ImageParent.parent_id == master.image_id)
        .join(made, made.image_id == ImageParent.image_id)
        .where(master.kind.in_(MASTERS.values()), made.kind == CALIBRATED)
        .group_by(master.observation_id)
    )
    return {int(number or 0): int(count) for number, count in session.execute(query)}
