"""What is chosen now, beside what a graph was published by."""

import json
from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation, Target
from schema.processes import Process
from schema.queries.choices import Stored, of_graph
from schema.queries.operating import unfinished_pids
from services.choices import Choices, differences
from services.engine.presence import VERSION
from services.engine.publisher.target_choices import choices_of
from services.own_site import is_of
from services.settings import Settings


def changes(stored: Stored | None, choices: Choices, among: Collection[str] = ()) -> str:
    """Which choices differ, and the version, as ``linearity: not set -> 3000.0``; empty where none does.

    How far a graph goes (`until_step`) changes none of its numbers. ``among``: of these choices alone. Nothing is known
    of a graph that was published before choices were stored.
    """
    if stored is None:
        return ""
    # A choice that a later version added has its default.
    old = {"version": stored.version} | Choices().values() | json.loads(stored.choices)
    new = {"version": VERSION} | choices.values()
    names = (set(among) or old.keys() | new.keys()) - {"until_step"}
    return ", ".join(
        differences({k: v for k, v in old.items() if k in names}, {k: v for k, v in new.items() if k in names})
    )


def kept_choices(session: Session, observation_id: int, choices: Choices) -> str | None:
    """In words what a published observation goes by, unlike what is chosen now; None where nothing differs."""
    graph_pid = session.get_one(Observation, observation_id).graph_pid
    changed = changes(None if graph_pid is None else of_graph(session, graph_pid), choices)
    if not changed:
        return None
    return (
        f"observation {observation_id} keeps the choices that it was published by, not those of now ({changed}): "
        f"`tianyu publish {observation_id}` takes these"
    )


def by_other_choices(session: Session, settings: Settings, but: Collection[int]) -> tuple[list[int], list[str]]:
    """Observations of this site to publish again since other choices are made now; in words, which others keep theirs.

    What is still at work keeps them.
    """
    query = (
        select(Observation)
        .join(Target, Target.target_id == Observation.target_id)
        .where(is_of(settings.site), Target.kind == LIGHT, Observation.graph_pid.is_not(None))
        .where(Observation.observation_id.not_in(but))
    )
    renewed: list[int] = []
    kept: list[str] = []
    for observation in session.scalars(query.order_by(Observation.observation_id)):
        number = observation.observation_id
        choices = choices_of(session, observation, settings)
        said = kept_choices(session, number, choices)
        if said is None:
            continue
        newest = session.scalar(select(func.max(Process.graph_pid)).where(Process.observation_id == number))
        differ = changes(None if newest is None else of_graph(session, newest), choices, Choices.model_fields)
        if differ and not unfinished_pids(session, number):
            renewed.append(number)
        elif differ or newest == observation.graph_pid:  # else its light curves by these choices are on their way
            kept.append(said)
    return renewed, kept
