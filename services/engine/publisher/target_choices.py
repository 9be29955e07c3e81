"""Choices of one observation: those of the settings, filled by what the file of targets says of its target."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation, Target
from services.choices import Choices
from services.settings import Settings
from services.targets_file import bare, read_targets


def choices_of(session: Session, observation: Observation, settings: Settings) -> Choices:
    """By what an observation is published.

    Raises:
        ConfigurationError: the file of targets cannot be read, or says what it cannot say.
    """
    target = session.get_one(Target, observation.target_id)
    if settings.targets_file is None or target.kind != LIGHT:
        return settings.choices
    tables = {bare(name): table for name, table in read_targets(settings.targets_file).items()}
    table = tables.get(bare(target.name))
    return settings.choices if table is None else table.fill(settings.choices)


def unknown_targets(session: Session, settings: Settings) -> list[str]:
    """In words, which names of the file of targets no target has; a line for all.

    Raises:
        ConfigurationError: as before.
    """
    if settings.targets_file is None:
        return []
    there = {bare(name) for name in session.scalars(select(Target.name).where(Target.kind == LIGHT))}
    unknown = [name for name in read_targets(settings.targets_file) if bare(name) not in there]
    if not unknown:
        return []
    return [f"{settings.targets_file.name}: no frames are of {', '.join(map(repr, unknown))}"]
