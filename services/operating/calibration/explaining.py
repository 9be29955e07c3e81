"""Which masters an observation was calibrated with, which it would get now, and why not the others."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from schema.image import CALIBRATED, Image, ImageParent
from schema.observing import Observation, Target
from schema.queries import choices
from services.choices import Choices
from services.engine.publisher.master_candidates import candidates
from services.engine.publisher.master_choice import choose
from services.errors import ConfigurationError
from services.masters import MASTERS, masters_used
from services.own_site import require_observation
from services.settings import Settings
from services.steps import masters_of

REFUSED_SHOWN = 20  # of a kind, the nearest


@dataclass(frozen=True)
class MasterUsed:
    """A master that frames were calibrated with."""

    pid: int
    observation_id: int
    frames: int


@dataclass(frozen=True)
class Refused:
    """A candidate that does not serve."""

    observation_id: int
    night: str
    why: str


@dataclass(frozen=True)
class Explained:
    """One kind of master of one observation.

    ``used``: with which its frames were calibrated, ``why_not``: why some of them were without. ``chosen``: the
    observation whose frames publishing takes by the same choices, ``says`` and ``lacks``: what it says of that.
    ``others`` serve too and are farther away.
    """

    kind: str
    used: tuple[MasterUsed, ...]
    why_not: str
    chosen: int | None
    chosen_pid: int | None  # where a process was given
    says: tuple[str, ...]
    lacks: str
    others: tuple[int, ...]
    refused: tuple[Refused, ...]

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only."""
        return vars(self) | {
            "used": [vars(one) for one in self.used],
            "says": list(self.says),
            "others": list(self.others),
            "refused": [vars(one) for one in self.refused],
        }


def explain(session: Session, settings: Settings, observation_id: int) -> list[Explained]:
    """All kinds of masters that the observation's frames take, by the choices that it was published by.

    By those of ``settings`` where it was not.

    Raises:
        ConfigurationError: there is no such observation.
    """
    observation = require_observation(session, observation_id)
    kind = session.get_one(Target, observation.target_id).kind
    settings = _as_published(session, settings, observation)
    lacking = {one.kind: one.why for one in masters_used(session, observation.graph_pid) if one.lacking}
    return [
        _explained(session, settings, observation, str(step.kind), lacking.get(str(step.kind), ""))
        for step in masters_of(kind)
    ]


def _as_published(session: Session, settings: Settings, observation: Observation) -> Settings:
    stored = None if observation.graph_pid is None else choices.of_graph(session, observation.graph_pid)
    if stored is None:
        return settings
    known = {name: value for name, value in json.loads(stored.choices).items() if name in Choices.model_fields}
    chosen = Choices.model_validate(known)
    return settings.model_copy(update={name: getattr(chosen, name) for name in Choices.model_fields})


def _explained(session: Session, settings: Settings, observation: Observation, kind: str, why_not: str) -> Explained:
    says: tuple[str, ...] = ()
    lacks = ""
    source = pid = None
    try:
        choice = choose(session, observation, kind, settings)
        source, pid, says, lacks = choice.source, choice.pid, tuple(choice.says), choice.lacks
    except ConfigurationError as error:
        lacks = str(error)
    chosen = None if source is None else source.observation_id
    found = candidates(session, observation, kind, settings.choices)
    return Explained(
        kind=kind,
        used=_used(session, observation, kind),
        why_not=why_not,
        chosen=chosen,
        chosen_pid=pid,
        says=says,
        lacks=lacks,
        others=tuple(
            one.observation.observation_id
            for one in found
            if not one.refused and one.observation.observation_id != chosen
        ),
        refused=tuple(
            Refused(one.observation.observation_id, one.observation.night.isoformat(), one.refused)
            for one in found
            if one.refused and one.observation.observation_id != chosen
        )[:REFUSED_SHOWN],
    )


def _used(session: Session, observation: Observation, kind: str) -> tuple[MasterUsed, ...]:
    if observation.graph_pid is None:
        return ()
    master = aliased(Image)
    query = (
        select(master.pid, master.observation_id, func.count())
        .join(ImageParent, ImageParent.parent_id == master.image_id)
        .join(Image, Image.image_id == ImageParent.image_id)
        .where(Image.graph_pid == observation.graph_pid, Image.kind == CALIBRATED, master.kind == MASTERS[kind])
        .group_by(master.pid, master.observation_id)
        .order_by(master.pid)
    )
    return tuple(
        MasterUsed(int(pid or 0), int(number or 0), int(frames)) for pid, number, frames in session.execute(query)
    )
