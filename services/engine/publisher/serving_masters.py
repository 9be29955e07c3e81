"""Which bias, dark and flat serve an observation: the same night's, else the nearest of its instrument and site."""

from datetime import date

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import DARK, FLAT, Observation, Target
from schema.processes import UNSUCCESSFUL, Process
from schema.queries.frames import USABLE
from services.masters import FailedMaster
from services.steps.shared.step import AnyStep


def nearest(session: Session, observation: Observation, kind: str, *, elsewhere: bool = False) -> Observation | None:
    """The observation of ``kind`` that suits best, or None; with ``elsewhere`` one whose frames are at another site.

    It has the same instrument, binning and frame size (and filter, for flats) and at least one frame that ingest took:
    that a process refused all of them is a failure of the master, and no lack of frames. The
    nearest night counts first, for darks then the nearest exposure time, and of two as near the earlier.
    """
    frame = _any_frame(session, observation.observation_id)
    if frame is None:
        return None
    usable = exists().where(
        Image.observation_id == Observation.observation_id,
        Image.kind == kind,
        Image.good.is_not(False),
        Image.ny == frame.ny,
        Image.nx == frame.nx,
    )
    query = (
        select(Observation)
        .join(Target, Target.target_id == Observation.target_id)
        .where(
            Target.kind == kind,
            (Observation.site_id == observation.site_id).is_(not elsewhere),
            Observation.instrument_id == observation.instrument_id,
            Observation.binning == observation.binning,
            usable,
        )
    )
    if kind == FLAT:
        query = query.where(Observation.filter_id == observation.filter_id)

    def distance(candidate: Observation) -> tuple[int, float, date, int]:
        exposure = abs(candidate.exposure_s - observation.exposure_s) if kind == DARK else 0.0
        nights = abs((candidate.night - observation.night).days)
        return nights, exposure, candidate.night, candidate.observation_id

    return min(session.scalars(query), key=distance, default=None)


def _any_frame(session: Session, observation_id: int) -> Image | None:
    query = select(Image).where(Image.observation_id == observation_id, Image.pid.is_(None), USABLE)
    return session.scalar(query.limit(1))


def serving(session: Session, pid: int, source: Observation, step: AnyStep, observation_id: int) -> tuple[int, str]:
    """PID of what makes the master that serves, and what there is to say: for one that failed, one made before."""
    master = session.get(Process, pid)
    if master is None or master.status not in UNSUCCESSFUL:
        return pid, ""
    older = _made_master(session, source, step)
    if older is not None:
        return older, f"master {step.kind} of process {older}, for that of {pid} failed"
    failed = FailedMaster(str(step.kind), pid, source.observation_id, master.status, master.error)
    return pid, failed.says(observation_id)


def _made_master(session: Session, source: Observation, step: AnyStep) -> int | None:
    """PID that made the newest master there is, also in a graph that was replaced."""
    query = select(func.max(Image.pid)).where(
        Image.observation_id == source.observation_id, Image.kind.in_(step.makes), Image.deleted_at.is_(None)
    )
    return session.scalar(query)
