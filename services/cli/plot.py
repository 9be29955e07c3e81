"""`tianyu plot`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import friendly, out, start
from services.cli.stars import TARGET_FORM, TARGET_HELP, star_to_show
from services.errors import ConfigurationError


@friendly
def plot(
    observation: Annotated[int, typer.Argument(help="Observation, as `tianyu status` lists it.")],
    target: Annotated[
        str | None,
        typer.Option(metavar=TARGET_FORM, help=f"Star to plot: {TARGET_HELP}"),
    ] = None,
    source: Annotated[int | None, typer.Option(help="Star to plot: source id, as in view source_catalog.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the plots; default plots/OBSERVATION of the site.")
    ] = None,
) -> None:
    """Draw the plots of an observation: field, noise, frames, and one star's light curve.

    Without a star they show the object of the frames' headers where the field is solved and its name is known, else
    the likeliest variable. What there are no data for is left out, with a reason.

    Examples: `tianyu plot 4`, `tianyu plot 4 --source 17`, `tianyu plot 4 --target HAT-P-32 --output plots`
    """
    if target is not None and source is not None:
        raise ConfigurationError("a star is chosen by --target or by --source: give one of them")
    settings = start()
    from schema import database
    from services.image_store import open_store
    from services.plots import make_plots
    from services.setup import open_database

    folder = settings.root / "plots" / str(observation) if output is None else output
    engine = open_database(settings)
    star = star_to_show(engine, settings, observation, target, source)
    with database.reading_factory(engine)() as session:
        paths = make_plots(session, open_store(settings.root), observation, folder, star)
    for path in paths:
        out.print(str(path), soft_wrap=True, markup=False, highlight=False)
    if not paths:
        raise typer.Exit(1)
