"""Options that say how far a night is taken: `--until` and `--only`."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.settings import Settings

UntilOption = Annotated[
    str | None, typer.Option(metavar="STEP", help="Stop after this step; without it the same command goes on.")
]
OnlyOption = Annotated[
    str | None, typer.Option(metavar="STEP", help="This step alone; an error where what it goes by is not there.")
]


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
