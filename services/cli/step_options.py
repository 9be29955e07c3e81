"""Options that say how far a night is taken, `--until` and `--only`, and at which sites its steps are, `--at`."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from services.deployment import NAME_PATTERN
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.settings import Settings

UntilOption = Annotated[
    str | None, typer.Option(metavar="STEP", help="Stop after this step; without it the same command goes on.")
]
OnlyOption = Annotated[
    str | None, typer.Option(metavar="STEP", help="This step alone; an error where what it goes by is not there.")
]
AtOption = Annotated[
    list[str] | None,
    typer.Option("--at", metavar="SITE=STEP,…", help="Where steps run that need no frames; images travel there."),
]


def with_places(settings: "Settings", at: list[str] | None) -> "Settings":
    """Settings with the sites of steps, besides those that they name.

    Raises:
        ConfigurationError: one is not as expected.
    """
    placement = dict(settings.placement)
    for text in at or ():
        site, equals, steps = text.partition("=")
        named = [step.strip() for step in steps.split(",")]
        if not equals or not all(named) or re.fullmatch(NAME_PATTERN, site) is None:
            raise ConfigurationError(f"--at {text!r}: expected SITE=STEP,STEP, as base=detect,crossmatch")
        placement |= dict.fromkeys(named, site)
    return settings.model_copy(update={"placement": placement})


def with_steps(settings: "Settings", until: str | None, only: str | None = None) -> "Settings":
    """Settings with the last step that is made, if one is given.

    Raises:
        ConfigurationError: no graph has a step of that name, or both are given.
    """
    from services.steps import last_of

    if until is not None and only is not None:
        raise ConfigurationError("--until makes all up to a step, --only that step alone: give one of them")
    step = until if only is None else only
    settings = settings if step is None else settings.model_copy(update={"until_step": step})
    last_of(settings)
    return settings
