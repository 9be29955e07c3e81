"""`tianyu plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from services.cli.console import ForceOption, err, friendly, print_paths, start
from services.cli.star_options import takes_star
from services.errors import TianyuError
from services.results.positions import Star

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from services.settings import Settings


@friendly
@takes_star
def plot(
    observation: Annotated[int, typer.Argument(help="Observation, as `tianyu status` lists it.")],
    star: Star | None = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the plots; default plots/OBSERVATION of the site.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Draw the plots of an observation: field, noise, frames, and one star's light curve.

    Without a star they show the object of the frames' headers where the field is solved and its name is known, else
    the likeliest variable. What there are no data for is left out, with a reason.

    Examples: `tianyu plot 4`, `tianyu plot 4 --source 17`, `tianyu plot 4 --target HAT-P-32 --output plots`
    """
    settings = start()
    from services.setup import open_database

    paths = draw(open_database(settings), settings, observation, star, output, force=force)
    print_paths(paths)
    if not paths:
        raise typer.Exit(1)


def draw(
    engine: Engine,
    settings: Settings,
    observation: int,
    star: Star | None,
    folder: Path | None = None,
    *,
    insist: bool = True,
    force: bool = True,
) -> list[Path]:
    """Draw into the folder, or into that of the site; returns the files.

    Raises:
        ConfigurationError, DataError, TransientError: the star is not there, and the user insists on it; or a file
            may not be replaced but by force.
    """
    from schema import database
    from services.cli.star_choice import star_to_show
    from services.destinations import require_replaceable
    from services.image_store import open_store
    from services.own_site import has_template, require_observation
    from services.results.plots import make_plots

    try:
        shown = star_to_show(engine, settings, observation, star)
    except TianyuError as error:
        if insist:
            raise
        err.print(Text(f"target: {error}; another star is drawn instead", "yellow"))
        shown = star_to_show(engine, settings, observation, None)
    with database.reading_factory(engine)() as session:
        folder = folder or settings.root / "plots" / str(observation)

        def allow(files: list[Path]) -> None:
            require_replaceable(session, settings, files, force=force)

        is_here = has_template(session, settings.site, require_observation(session, observation))
        images = open_store(settings.root) if is_here else None
        return make_plots(session, images, observation, folder, shown, allow)
