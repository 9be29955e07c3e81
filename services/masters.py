"""Which masters frames were calibrated with, and why without others: none to be had, left out by choice, or failed."""

import json
from dataclasses import dataclass

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from schema.image import CALIBRATED, MASTER_BIAS, MASTER_DARK, MASTER_FLAT, Image, ImageParent
from schema.observing import BIAS, DARK, FLAT, Observation, Target
from schema.processes import CANCELLED, SKIPPED, SUCCEEDED, Process, PublishedChoices

NO_GOOD = "all of them are saturated or outside their limits: view frame has the reasons"
MASTERS = {BIAS: MASTER_BIAS, DARK: MASTER_DARK, FLAT: MASTER_FLAT}


@dataclass(frozen=True)
class Master:
    """A kind of master, and how many of a graph's calibrated frames lack it; ``why``: they do."""

    kind: str
    lacking: int = 0
    why: str = ""

    @property
    def is_no_good(self) -> bool:
        """Whether its frames were there, and none of them was good enough."""
        return self.why == NO_GOOD

    def __str__(self) -> str:
        return f"{self.kind} none: {self.why}" if self.lacking else f"{self.kind} used"


def is_taken_off(observation: Observation, kind: str) -> bool:
    """Whether another program has taken this master off the frames before."""
    return _takes_off(observation.reduced, kind)


def _takes_off(reduced: str, kind: str) -> bool:
    return kind[0].upper() in reduced


def masters_missing(parameters: str, choices: str | None, reduced: str) -> set[str]:
    """Kinds of masters that a `calibrate` was published without, though nobody left them out or took them off.

    A bias is not missing where there is a dark: one that was made without a bias holds it. ``parameters`` and
    ``choices`` are JSON, ``reduced`` what the observation's row says.
    """
    told, chosen = json.loads(parameters), json.loads(choices or "{}")
    missing = {
        kind
        for kind in MASTERS
        if told.get(kind) is None and kind not in chosen.get("without", ()) and not _takes_off(reduced, kind)
    }
    return missing - {BIAS} if told.get(DARK) is not None else missing


def masters_used(session: Session, graph_pid: int | None) -> tuple[Master, ...]:
    """All kinds of masters, by what was used for the calibrated frames of a graph; none where there are no frames."""
    of_graph = (Image.graph_pid == graph_pid, Image.kind == CALIBRATED)
    frames = session.scalar(select(func.count()).where(*of_graph)) or 0
    if not frames:
        return ()
    parent = aliased(Image)
    used = dict(
        session.execute(
            select(parent.kind, func.count())
            .join(ImageParent, ImageParent.parent_id == parent.image_id)
            .join(Image, Image.image_id == ImageParent.image_id)
            .where(*of_graph, parent.kind.in_(MASTERS.values()))
            .group_by(parent.kind)
        ).all()
    )
    newest = session.execute(
        select(Process.parameters, PublishedChoices.choices)
        .outerjoin(PublishedChoices, PublishedChoices.choices_id == Process.choices_id)
        .where(Process.graph_pid == graph_pid, Process.command == "calibrate")
        .order_by(Process.pid.desc())
        .limit(1)
    ).one_or_none()
    told, chosen = (json.loads(text or "{}") for text in newest or (None, None))
    observation = session.scalar(
        select(Observation)
        .join(Process, Process.observation_id == Observation.observation_id)
        .where(Process.graph_pid == graph_pid)
        .limit(1)
    )
    found = []
    for kind, image in MASTERS.items():
        lacking = frames - used.get(image, 0)
        why = "" if not lacking else _why(session, kind, told.get(kind), chosen.get("without", ()), observation)
        if lacking and kind == BIAS and told.get(BIAS) is not None and _dark_holds_it(session, told.get(DARK)):
            why = "the dark holds it"
        found.append(Master(kind, lacking, why))
    return tuple(found)


def _why(
    session: Session, kind: str, pid: int | None, left_out: tuple[str, ...], observation: Observation | None
) -> str:
    if pid is None and kind in left_out:
        return "left out by choice"
    if pid is None:
        return "no such frames" if observation is None else _why_none(session, observation, kind)
    status = session.scalar(select(Process.status).where(Process.pid == pid))
    if status == SUCCEEDED and session.scalar(select(Image.image_id).where(Image.pid == pid)) is None:
        return NO_GOOD
    if status == SUCCEEDED:
        return f"process {pid} made it later"
    return f"process {pid} {'is ' if status != 'failed' else ''}{status or 'gone'}"


def _dark_holds_it(session: Session, pid: int | None) -> bool:
    dark = None if pid is None else session.scalar(select(Image).where(Image.pid == pid))
    return dark is not None and dark.background is None


def _why_none(session: Session, observation: Observation, kind: str) -> str:
    """Why a night was published without a master that nobody left out."""
    if is_taken_off(observation, kind):
        return "taken off before, by the headers"
    of_camera = exists().where(
        Observation.target_id == Target.target_id,
        Target.kind == kind,
        Observation.instrument_id == observation.instrument_id,
        Observation.binning == observation.binning,
        Observation.site_id == observation.site_id,
    )
    return "no such frames that fit" if kind != FLAT and session.scalar(select(of_camera)) else "no such frames"


@dataclass(frozen=True)
class FailedMaster:
    """A master's process without success, for which frames are skipped."""

    kind: str
    pid: int
    observation_id: int | None
    status: str
    error: str | None

    def says(self, observation_id: int) -> str:
        """What it means for an observation, and what to do."""
        ended = {CANCELLED: "was cancelled", SKIPPED: "was skipped"}.get(self.status, "failed")
        states = "--cancelled" if self.status == CANCELLED else "--failed"
        return (
            f"master {self.kind} of observation {self.observation_id} {ended} (process {self.pid}): "
            f"{self.error or 'no reason was kept'}; what needs it is skipped. Mend it and `tianyu retry {states} "
            f"--observation {observation_id}`, or go on without it: `tianyu publish {observation_id} --without "
            f"{self.kind}`"
        )
