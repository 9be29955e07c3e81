"""Options on the template that frames are measured on: one of their own, or another night's."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.settings import Settings

Template = Literal["own", "known"]
TemplateOption = Annotated[
    Template, typer.Option(help="known: measure each frame at once, on the template of another night.")
]
NewTemplateOption = Annotated[
    bool, typer.Option("--new-template", help="Choose the reference and make the template anew, of all frames.")
]


def require_one_template(settings: "Settings", template: Template, *, new_template: bool) -> None:
    """Another night's template is neither made anew, nor on a reference of one's own.

    Raises:
        ConfigurationError: both are asked for.
    """
    if template != "known":
        return
    if new_template:
        raise ConfigurationError("--template known takes another night's template, --new-template makes one: give one")
    if settings.reference_frame is not None:
        raise ConfigurationError(
            "--template known takes another night's template, on its reference: leave out the reference frame "
            f"{settings.reference_frame!r} (reference_frame), or --template known"
        )
