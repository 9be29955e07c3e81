"""Which bias, dark and flat serve an observation: given ones, the same night's, else the nearest within limits."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import BIAS, DARK, FLAT, Observation
from schema.processes import UNSUCCESSFUL, Process
from services.choices import Choices
from services.engine.publisher.master_candidates import candidates, filter_name, is_scaled, serves
from services.masters import FailedMaster, is_taken_off
from services.own_site import of_another_site
from services.steps.shared.step import AnyStep


def nearest(session: Session, observation: Observation, kind: str, choices: Choices) -> Observation | None:
    """The observation of ``kind`` that suits best, or None.

    It has the same instrument, binning and frame size (and filter, for flats) and at least one frame that ingest took:
    that a process refused all of them is a failure of the master, and no lack of frames. What another program has taken
    off already is not taken off again. Bias and dark frames are of the same gain, offset and read mode, darks of the
    same temperature, where headers tell both. The nearest night counts first, for darks then the nearest exposure
    time, and of two as near the earlier. Flats that were found outside their limits serve where no others do.
    """
    if is_taken_off(observation, kind):
        return None
    found = serves(candidates(session, observation, kind, choices))
    return None if found is None else found.observation


def why_none(session: Session, observation: Observation, kind: str, choices: Choices) -> str:
    """Why there is no observation of ``kind`` that serves; empty where another program has taken it off before."""
    if is_taken_off(observation, kind):
        return ""
    for one in candidates(session, observation, kind, choices)[:1]:
        return f"no {kind} frames that fit (observation {one.observation.observation_id} has {one.refused})"
    elsewhere = serves(candidates(session, observation, kind, choices, elsewhere=True))
    where = "" if elsewhere is None else f" at this site ({of_another_site(session, elsewhere.observation)})"
    return f"no {kind} frames of the same camera{where}"


def says_of(session: Session, observation: Observation, source: Observation, kind: str, choices: Choices) -> list[str]:
    """What is to be said of the frames of ``kind`` that serve."""
    lines = []
    if source.night != observation.night:
        lines.append(f"{kind} of night {source.night} (observation {source.observation_id})")
    if kind == FLAT and source.filter_id != observation.filter_id:
        told = [filter_name(session, one) or "no filter" for one in (source, observation)]
        lines.append(
            f"flat of {told[0]} for frames of {told[1]} (observation {source.observation_id}): "
            "there is one filter alone on these nights"
        )
    unscaled = kind == DARK and is_scaled(observation, source) and not is_taken_off(source, BIAS)
    if unscaled and nearest(session, source, BIAS, choices) is None:
        lines.append(
            f"dark of {source.exposure_s:g} s for frames of {observation.exposure_s:g} s: taken off as it is and not "
            "scaled, for without bias frames it holds the bias"
        )
    return lines


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
