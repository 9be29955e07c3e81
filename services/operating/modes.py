"""What a run does with observations that have light curves already, and with those that lack masters."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation, Target
from services.engine.publisher.master_choice import choose
from services.errors import ConfigurationError
from services.own_site import is_of
from services.settings import Settings
from services.steps import masters_of

# An observation that has light curves: what is missing of frames that came since and by choices that changed; nothing;
# everything anew; or it ends the run before anything is registered.
Existing = Literal["append", "skip", "overwrite", "error"]
# One for which there is no bias, dark or flat, and none was left out by choice: nothing; or it ends the run before
# anything is published.
Missing = Literal["skip", "error"]


@dataclass(frozen=True)
class Modes:
    """``missing`` None: it goes on without. ``new_template``: for all of the folder one is made of all frames.

    ``known``: what has no template of its own is measured on another night's. ``only``: nothing but the last step that
    is asked for is made.
    """

    existing: Existing = "append"
    missing: Missing | None = None
    new_template: bool = False
    known: bool = False
    only: bool = False


def with_light_curves(session: Session, site: str) -> set[int]:
    """Observations of the sky of this site that have light curves."""
    query = select(Observation.observation_id).join(Target, Target.target_id == Observation.target_id)
    return set(
        session.scalars(query.where(is_of(site), Target.kind == LIGHT, Observation.calibration_pid.is_not(None)))
    )


def refuse_existing(session: Session, site: str, observations: Iterable[int]) -> None:
    """End the run where one of these has light curves.

    Raises:
        ConfigurationError: one has; the message names all.
    """
    if found := sorted(with_light_curves(session, site).intersection(observations)):
        raise ConfigurationError(
            f"{_named(found)} already, and nothing was done (--existing error): leave it to --existing append, skip or "
            "overwrite, or give another --workdir"
        )


def left_alone(observations: Collection[int]) -> list[str]:
    """In words, that these are left as they are; a line for all."""
    found = sorted(observations)
    return [f"{_named(found)} already: left as it is (--existing skip)"] if found else []


def _named(observations: Collection[int]) -> str:
    count = len(observations)
    numbers = ", ".join(map(str, observations))
    return f"observation {numbers} has light curves" if count == 1 else f"observations {numbers} have light curves"


def lacking(session: Session, settings: Settings, observations: Iterable[int]) -> dict[int, str]:
    """Which of these observations of the sky lack masters, and which; those left out by choice are not missing."""
    found: dict[int, str] = {}
    kinds = [step.kind for step in masters_of(LIGHT) if step.kind is not None]
    for number in observations:
        observation = session.get_one(Observation, number)
        try:
            chosen = {kind: choose(session, observation, kind, settings) for kind in dict.fromkeys(kinds)}
        except ConfigurationError:
            continue  # what was given is not there: publishing says so
        lacks = [one.lacks or f"no good {kind} frames" * one.is_spent for kind, one in chosen.items()]
        if any(lacks):
            found[number] = ", ".join(filter(None, lacks))
    return found


def without_lacking(
    session: Session, settings: Settings, observations: Iterable[int], missing: Missing
) -> tuple[list[int], list[str]]:
    """Those of these observations that lack no master; in words, which are skipped.

    Raises:
        ConfigurationError: one lacks masters, and that is to be an error; the message names all.
    """
    wanted = list(observations)
    lack = lacking(session, settings, wanted)
    lines = [f"observation {number} has {lacks}" for number, lacks in lack.items()]
    what_to_do = "add them, give others (--use-flat), or do without by name (--without)"
    if lines and missing == "error":
        raise ConfigurationError(f"{'; '.join(lines)}, and nothing was published (--missing error): {what_to_do}")
    return (
        [number for number in wanted if number not in lack],
        [f"{line}, and is skipped (--missing skip): {what_to_do}" for line in lines],
    )
