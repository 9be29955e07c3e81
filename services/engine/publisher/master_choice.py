"""Which master frames get: given > the same night's > the nearest within limits > the given alternative > none."""

from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from schema.observing import Observation
from services.engine.publisher.given_masters import given
from services.engine.publisher.master_candidates import candidates, serves
from services.engine.publisher.serving_masters import says_of, why_none
from services.masters import is_taken_off
from services.settings import Settings


@dataclass
class MasterChoice:
    """The observation whose frames serve, with the process that made its master where one was named; or none."""

    source: Observation | None = None
    pid: int | None = None
    says: list[str] = field(default_factory=list)
    lacks: str = ""  # why there is none, where something is missing
    is_spent: bool = False  # nothing came of it: all its frames were looked at and are no good


def choose(session: Session, observation: Observation, kind: str, settings: Settings) -> MasterChoice:
    """The master of ``kind`` for an observation, with what is to be said of the choice.

    Raises:
        ConfigurationError: what was given is not there, or of another kind.
    """
    choices = settings.choices
    if kind in choices.without:
        return MasterChoice(says=[f"going on without {kind}, by choice"])
    if is_taken_off(observation, kind):
        refused = f"--use-{kind} is not used: {kind} was taken off before, by the headers"
        return MasterChoice(says=[refused] if getattr(choices, f"use_{kind}") else [])
    said: list[str] = []
    for how in ("use", "", "alt"):
        if how:
            found = given(session, observation, kind, settings, how)
            said += [f"{line}, it is not used" for line in found.refused]
            if found.source is not None:
                return MasterChoice(found.source, found.pid, [*said, found.says])
        else:
            best = serves(candidates(session, observation, kind, choices))
            if best is not None:
                says = says_of(session, observation, best.observation, kind, choices)
                return MasterChoice(best.observation, None, [*said, *says], is_spent=best.is_spent)
    return MasterChoice(says=said, lacks=why_none(session, observation, kind, choices))
