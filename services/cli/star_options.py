"""The options that choose a star: the same for all commands that take one."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from services.errors import ConfigurationError
from services.results.positions import GaiaId, Position, SourceId, Star, parse_pair, parse_radec, parse_target
from services.whole_numbers import whole_number

if TYPE_CHECKING:
    from schema.light_curve_rows import ApertureChoice
    from services.settings import Settings

R = TypeVar("R")
TARGET_FORM = "RA,DEC|NAME|X,Y"
TARGET_HELP = "degrees or hh:mm:ss,+dd:mm:ss, a name, or pixels of the first frame."

PointingOption = Annotated[
    str | None, typer.Option(metavar="RA,DEC", help="Where the telescope pointed, where headers do not tell.")
]
CatalogOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Stars of the field with Gaia's columns: no network is asked.")
]
ReferenceOption = Annotated[
    str | None,
    typer.Option(
        "--reference-frame",
        metavar="NAME|NUMBER",
        help="Frame that the others are aligned to: a file's name, or its number in the order of time, from 0.",
    ),
]
TargetsOption = Annotated[
    Path | None,
    typer.Option("--targets", metavar="FILE", help="Places of fields, target, reference and check stars, by target."),
]

ForcedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--forced", metavar="FILE|STAR", help="Where flux is measured whatever is there: a list, a name or a place."
    ),
]


def with_reference(settings: "Settings", given: str | None) -> "Settings":
    """Settings with this reference frame, if one is given.

    Raises:
        ConfigurationError: it is empty.
    """
    if given is None:
        return settings
    if not given.strip():
        raise ConfigurationError("--reference-frame is empty: give a file's name, or a number from 0")
    return settings.model_copy(update={"reference_frame": given})


def with_targets(settings: "Settings", path: Path | None) -> "Settings":
    """Settings with this file of targets, if one is given, or with their own; looked at before anything is made.

    Raises:
        ConfigurationError: it cannot be read, or says what it cannot say.
    """
    from services.targets_file import read_targets

    path = path or settings.targets_file
    if path is None:
        return settings
    read_targets(path)
    return settings.model_copy(update={"targets_file": path.absolute()})


def chosen_stars(
    target: Annotated[list[str] | None, typer.Option(metavar=TARGET_FORM, help=f"Star: {TARGET_HELP}")] = None,
    source: Annotated[list[int] | None, typer.Option(help="Source id, as in view source_catalog.")] = None,
    xy: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="Nearest source to pixels of the first frame.")
    ] = None,
    radec: Annotated[
        list[str] | None, typer.Option(metavar="RA,DEC", help="Nearest source to these coordinates.")
    ] = None,
    gaia: Annotated[
        list[int] | None, typer.Option(metavar="SOURCE_ID", help="The source of this number in Gaia DR3.")
    ] = None,
) -> list[tuple[str, Star]]:
    """The stars that the options choose, as they are written and what is meant.

    Raises:
        ConfigurationError: one cannot be read.
    """
    return [
        *((one, parse_target(one)) for one in target or ()),
        *((str(one), SourceId(one)) for one in source or ()),
        *((f"{one} px", Position(*parse_pair(one, "X,Y"), kind="pixels")) for one in xy or ()),
        *((one, Position(*parse_radec(one), kind="sky")) for one in radec or ()),
        *((f"Gaia DR3 {one}", GaiaId(one)) for one in gaia or ()),
    ]


def takes_stars(command: Callable[..., R]) -> Callable[..., R]:
    """A command with the options that choose stars in place of its parameter ``stars``, which is given the choice."""
    return _taking(command, "stars", chosen_stars)


def takes_star(command: Callable[..., R]) -> Callable[..., R]:
    """A command with the options that choose a star in place of its parameter ``star``, which is given the choice."""

    def one(**given: Any) -> Star | None:
        found = chosen_stars(**given)
        if len(found) > 1:
            raise _not_one()
        return found[0][1] if found else None

    return _taking(command, "star", one)


def _taking(command: Callable[..., R], parameter: str, chosen: Callable[..., Any]) -> Callable[..., R]:
    own, options = inspect.signature(command, eval_str=True).parameters, inspect.signature(chosen_stars).parameters

    @functools.wraps(command)
    def wrapped(**given: Any) -> R:
        return command(**{parameter: chosen(**{name: given.pop(name) for name in options})}, **given)

    shown = [one for name in own for one in (options.values() if name == parameter else [own[name]])]
    wrapped.__dict__["__signature__"] = inspect.Signature(shown)
    wrapped.__annotations__ = {one.name: one.annotation for one in shown}
    return wrapped


def aperture_choice(text: str, *, all_too: bool = False) -> "ApertureChoice":
    """What `--aperture` says: best, an index, or all where that may be.

    Raises:
        ConfigurationError: none of these.
    """
    if text == "best":
        return "best"
    if text == "all" and all_too:
        return "all"
    number = whole_number(text)
    if number is None:
        words = "neither best, all" if all_too else "neither best"
        raise ConfigurationError(f"--aperture {text!r} is {words} nor an index such as 0")
    return number


def required(star: Star | None) -> Star:
    """The star.

    Raises:
        ConfigurationError: none was chosen.
    """
    if star is None:
        raise _not_one()
    return star


def _not_one() -> ConfigurationError:
    return ConfigurationError("a star is chosen by --target, --radec, --gaia, --source or --xy: give one of them")
