"""`tianyu plot`."""

from pathlib import Path
from typing import Annotated

import typer

from schema import database
from services.cli.console import ForceOption, friendly, out, start
from services.cli.star_options import (
    GaiaOption,
    RadecOption,
    SourceOption,
    TargetOption,
    XyOption,
    chosen_star,
)
from services.cli.stars import star_to_show
from services.destinations import require_replaceable
from services.image_store import open_store
from services.plots import make_plots
from services.setup import open_database


@friendly
def plot(
    observation: Annotated[int, typer.Argument(help="Observation, as `tianyu status` lists it.")],
    target: TargetOption = None,
    source: SourceOption = None,
    xy: XyOption = None,
    radec: RadecOption = None,
    gaia: GaiaOption = None,
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
    star = chosen_star(target, source, xy, radec, gaia)
    settings = start()
    folder = settings.root / "plots" / str(observation) if output is None else output
    engine = open_database(settings)
    shown = star_to_show(engine, settings, observation, star)
    with database.reading_factory(engine)() as session:
        paths = make_plots(
            session,
            open_store(settings.root),
            observation,
            folder,
            shown,
            allow=lambda files: require_replaceable(session, settings, files, force=force),
        )
    for path in paths:
        out.print(str(path), soft_wrap=True, markup=False, highlight=False)
    if not paths:
        raise typer.Exit(1)
