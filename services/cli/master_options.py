"""Options that say which masters frames are calibrated with: left out, given, or given as an alternative."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.settings import Settings

GIVEN_FORM = "PID|OBSERVATION|FILE"


class Master(StrEnum):
    """What frames can be calibrated without."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"


Without = Annotated[
    list[Master] | None,
    typer.Option("--without", help="Calibrate without this master, though there are such frames; repeatable."),
]
UseBias = Annotated[list[str] | None, typer.Option(metavar=GIVEN_FORM, help="Take this bias, whatever else there is.")]
UseDark = Annotated[list[str] | None, typer.Option(metavar=GIVEN_FORM, help="Take this dark, whatever else there is.")]
UseFlat = Annotated[
    list[str] | None,
    typer.Option(metavar=f"[FILTER=]{GIVEN_FORM}", help="Take this flat, whatever else there is; one a filter."),
]
AltBias = Annotated[list[str] | None, typer.Option(metavar=GIVEN_FORM, help="Take this bias where no other fits.")]
AltDark = Annotated[list[str] | None, typer.Option(metavar=GIVEN_FORM, help="Take this dark where no other fits.")]
AltFlat = Annotated[
    list[str] | None,
    typer.Option(metavar=f"[FILTER=]{GIVEN_FORM}", help="Take this flat where no other fits; one a filter."),
]


def with_masters(settings: Settings, without: Iterable[Master] | None, **given: Iterable[str] | None) -> Settings:
    """Settings with these masters left out besides those that they leave out already, and with these given."""
    changes: dict[str, tuple[str, ...]] = {name: tuple(texts) for name, texts in given.items() if texts}
    if without:
        changes["without"] = tuple(sorted({*settings.without, *map(str, without)}))
    return settings.model_copy(update=changes)
