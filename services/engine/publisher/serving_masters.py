"""Which bias, dark and flat serve an observation: the same night's, else the nearest of its instrument and site."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import BIAS, DARK, FLAT, Observation, Target
from schema.processes import UNSUCCESSFUL, Process
from schema.queries.frames import USABLE
from services.masters import FailedMaster, is_taken_off
from services.own_site import of_another_site
from services.steps.shared.step import AnyStep

SAME_EXPOSURE = 0.01  # relative, in the keys of observations
SAME_TEMPERATURE_C = 5.0  # between darks and frames: the dark current doubles every 6 degrees or so


def nearest(session: Session, observation: Observation, kind: str, *, elsewhere: bool = False) -> Observation | None:
    """The observation of ``kind`` that suits best, or None; with ``elsewhere`` one whose frames are at another site.

    It has the same instrument, binning and frame size (and filter, for flats) and at least one frame that ingest took:
    that a process refused all of them is a failure of the master, and no lack of frames. What another program has taken
    off already is not taken off again. Bias and dark frames are of the same gain, offset and read mode, darks of the
    same temperature, where headers tell both. The nearest night counts first, for darks then the nearest exposure
    time, and of two as near the earlier.
    """
    if is_taken_off(observation, kind):
        return None
    near_first = _candidates(session, observation, kind, elsewhere=elsewhere)
    return next((one for one in near_first if not _unlike(session, observation, one, kind)), None)


def why_none(session: Session, observation: Observation, kind: str) -> str:
    """Why there is no observation of ``kind`` that serves; empty where another program has taken it off before."""
    if is_taken_off(observation, kind):
        return ""
    for one in _candidates(session, observation, kind)[:1]:
        there = f"observation {one.observation_id} has {_unlike(session, observation, one, kind)}"
        return f"no {kind} frames that fit ({there})"
    elsewhere = nearest(session, observation, kind, elsewhere=True)
    where = "" if elsewhere is None else f" at this site ({of_another_site(session, elsewhere)})"
    return f"no {kind} frames of the same camera{where}"


def says_of(session: Session, observation: Observation, source: Observation, kind: str) -> list[str]:
    """What is to be said of the frames of ``kind`` that serve."""
    lines = []
    if source.night != observation.night:
        lines.append(f"{kind} of night {source.night} (observation {source.observation_id})")
    apart = abs(source.exposure_s - observation.exposure_s) > SAME_EXPOSURE * observation.exposure_s
    if kind == DARK and observation.exposure_s and apart and nearest(session, source, BIAS) is None:
        lines.append(
            f"dark of {source.exposure_s:g} s for frames of {observation.exposure_s:g} s: taken off as it is and not "
            "scaled, for without bias frames it holds the bias"
        )
    return lines


def _unlike(session: Session, observation: Observation, candidate: Observation, kind: str) -> str:
    """What of a candidate does not fit, and what it should be; flats serve at any gain, for they are divided by."""
    if candidate.geometry != observation.geometry:
        return " instead of ".join(one.geometry or "whole frames" for one in (candidate, observation))
    if kind == FLAT:
        return ""
    wanted, there = (_setting(one) for one in (observation, candidate))
    for name in wanted.keys() & there.keys():
        if wanted[name] != there[name]:
            return f"{name} {there[name]} instead of {wanted[name]}"
    if kind != DARK:
        return ""
    expected, found = (_temperature(session, one.observation_id) for one in (observation, candidate))
    if expected is not None and found is not None and abs(found - expected) > SAME_TEMPERATURE_C:
        return f"{found:.0f} instead of {expected:.0f} degrees C"
    return ""


def _setting(observation: Observation) -> dict[str, str]:
    parts = (part.partition(" ") for part in observation.setting.split(", ") if part)
    return {name: value for name, _, value in parts}


def _temperature(session: Session, observation_id: int) -> float | None:
    """Of the detector, mean of the frames that tell."""
    of_frames = (Image.observation_id == observation_id, Image.pid.is_(None), USABLE)
    return session.scalar(select(func.avg(Image.temperature_c)).where(*of_frames))


def _distance(observation: Observation, candidate: Observation, kind: str) -> tuple[int, float, date, int]:
    exposure = abs(candidate.exposure_s - observation.exposure_s) if kind == DARK else 0.0
    nights = abs((candidate.night - observation.night).days)
    return nights, exposure, candidate.night, candidate.observation_id


def _candidates(
    session: Session, observation: Observation, kind: str, *, elsewhere: bool = False
) -> Sequence[Observation]:
    """Observations of the same camera with frames of this kind, the nearest first; ``elsewhere``: at other sites."""
    frame = _any_frame(session, observation.observation_id)
    if frame is None:
        return []
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
    return sorted(session.scalars(query), key=lambda one: _distance(observation, one, kind))


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
