"""`tianyu lightcurve`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.console import friendly, note, start
from services.cli.positions import parse_pair, parse_radec
from services.errors import ConfigurationError

Format = Literal["csv", "ecsv", "fits", "votable", "parquet", "aavso", "exoclock", "etd", "lightkurve"]


@friendly
def lightcurve(
    observation: Annotated[int | None, typer.Option(help="Observation; not needed when there is one.")] = None,
    source: Annotated[int | None, typer.Option(help="Source id, as in view source_catalog.")] = None,
    xy: Annotated[str | None, typer.Option(metavar="X,Y", help="Nearest source to these template pixels.")] = None,
    radec: Annotated[str | None, typer.Option(metavar="RA,DEC", help="Nearest source to these coordinates.")] = None,
    aperture: Annotated[str, typer.Option(help="best, all, or the index of one.")] = "best",
    format_name: Annotated[Format, typer.Option("--format", help="Of the output.")] = "csv",
    output: Annotated[Path | None, typer.Option(help="File to write; else text goes to standard output.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw.")] = None,
) -> None:
    """Print, save or draw the light curve of one source.

    Examples: `tianyu lightcurve --source 17`,
    `tianyu lightcurve --observation 4 --xy 424,286 --format fits --output lc.fits`,
    `tianyu lightcurve --source 17 --plot lc.png --output lc.csv`
    """
    settings = start()
    from schema import database
    from services.lightcurves.export import write_file, write_stream
    from services.lightcurves.reading import ApertureChoice, read_light_curve
    from services.lightcurves.selection import find_observation, find_source
    from services.setup import open_database

    choice: ApertureChoice
    if aperture in ("best", "all"):
        choice = aperture  # type: ignore[assignment]
    elif aperture.isdigit():
        choice = int(aperture)
    else:
        raise ConfigurationError(f"--aperture {aperture!r} is neither best, all nor an index such as 0")
    with database.reading_factory(open_database(settings))() as session:
        facts = find_observation(session, observation)
        star = find_source(
            session,
            facts,
            source_id=source,
            xy=None if xy is None else parse_pair(xy, "X,Y"),
            radec=None if radec is None else parse_radec(radec),
        )
        curve = read_light_curve(session, facts, star, choice)
    note(f"source {star.source_id} at x = {star.x:.2f}, y = {star.y:.2f}: {len(curve.table)} points")
    if plot is not None:
        from services.plots.light_curve import draw_light_curve

        draw_light_curve(curve, plot)
        note(f"drawn to {plot}")
    if output is not None:
        write_file(curve.table, output, format_name)
        note(f"written to {output}")
    elif plot is None:
        write_stream(curve.table, sys.stdout, format_name)
