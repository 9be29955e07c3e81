"""`tianyu export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.console import ForceOption, friendly, note, print_paths, start
from services.cli.star_options import Star, takes_star
from services.errors import DataError

Layout = Literal["qlcp"]


@friendly
@takes_star
def export(
    observation: Annotated[int, typer.Argument(help="Observation, as `tianyu status` lists it.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the files.")],
    star: Star | None = None,
    layout: Annotated[Layout, typer.Option(help="Whose files and names.")] = "qlcp",
    force: ForceOption = False,
) -> None:
    """Write an observation's results in the files of another pipeline.

    `qlcp`: catalogue and calibrated light curves (FITS and text, one folder an aperture), list, offsets, finding
    chart, and the light curve as PNG and PDF. The target is the star that is named, else those of the calibration
    (`manual_targets`), else the one that plots show.

    Examples: `tianyu export 4 --layout qlcp --output ~/red`, `tianyu export 4 --target HAT-P-32 --output ~/red`
    """
    settings = start()
    from schema import database
    from services.cli.star_choice import star_to_show
    from services.destinations import require_replaceable
    from services.image_store import open_store
    from services.own_site import has_template, require_observation
    from services.results.layouts import qlcp
    from services.results.lightcurves.observation_facts import observation_facts
    from services.results.lightcurves.selection import find_source
    from services.results.plots.roles import read_targets
    from services.setup import open_database

    writer = {"qlcp": qlcp}[layout]
    engine = open_database(settings)
    with database.reading_factory(engine)() as session:
        facts = observation_facts(session, observation)
        targets = [] if star is not None else read_targets(session, facts)
    if not targets:
        shown = star_to_show(engine, settings, observation, star)
        targets = [] if shown is None else [shown]
    if not targets:
        raise DataError(f"observation {observation} has no star to be exported: name one (--target, --xy, --source)")
    with database.reading_factory(engine)() as session:
        stars = [find_source(session, facts, source_id=source_id) for source_id in targets]
        catalogue = writer.read_catalogue(session, facts, stars)
        require_replaceable(session, settings, [output / name for name in writer.files_of(catalogue)], force=force)
        is_here = has_template(session, settings.site, require_observation(session, observation))
        images = open_store(settings.root) if is_here else None
        written, left_out = writer.write_all(session, images, catalogue, output)
    for reason in left_out:
        note(reason)
    print_paths(written)
