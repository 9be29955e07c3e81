"""The options that choose a star: the same for all commands that take one."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from services.errors import ConfigurationError
from services.results.positions import Named, Position, parse_pair, parse_radec, parse_target

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class SourceId:
    """A star by its id in table `source`."""

    number: int


@dataclass(frozen=True)
class GaiaId:
    """A star by its source_id in Gaia DR3."""

    number: int


Place = Position | SourceId | GaiaId
Star = Place | Named


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


def chosen_star(
    target: Annotated[str | None, typer.Option(metavar=TARGET_FORM, help=f"Star: {TARGET_HELP}")] = None,
    source: Annotated[int | None, typer.Option(help="Source id, as in view source_catalog.")] = None,
    xy: Annotated[str | None, typer.Option(metavar="X,Y", help="Nearest source to pixels of the first frame.")] = None,
    radec: Annotated[str | None, typer.Option(metavar="RA,DEC", help="Nearest source to these coordinates.")] = None,
    gaia: Annotated[
        int | None, typer.Option(metavar="SOURCE_ID", help="The source of this number in Gaia DR3.")
    ] = None,
) -> Star | None:
    """The star that the options choose; None where none of them is given.

    Raises:
        ConfigurationError: several are given, or one cannot be read.
    """
    if sum(given is not None for given in (target, source, xy, radec, gaia)) > 1:
        raise _not_one()
    if target is not None:
        return parse_target(target)
    if radec is not None:
        return Position(*parse_radec(radec), kind="sky")
    if xy is not None:
        return Position(*parse_pair(xy, "X,Y"), kind="pixels")
    if source is not None:
        return SourceId(source)
    return None if gaia is None else GaiaId(gaia)


def takes_star(command: Callable[..., R]) -> Callable[..., R]:
    """A command with the options that choose a star in place of its parameter ``star``, which is given the choice."""
    own, options = inspect.signature(command, eval_str=True).parameters, inspect.signature(chosen_star).parameters

    @functools.wraps(command)
    def wrapped(**given: Any) -> R:
        return command(star=chosen_star(**{name: given.pop(name) for name in options}), **given)

    shown = [one for name in own for one in (options.values() if name == "star" else [own[name]])]
    wrapped.__dict__["__signature__"] = inspect.Signature(shown)
    wrapped.__annotations__ = {one.name: one.annotation for one in shown}
    return wrapped


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
