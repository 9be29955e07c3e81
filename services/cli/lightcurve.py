"""`tianyu lightcurve`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.console import friendly, note, start
from services.cli.positions import Position, parse_pair, parse_radec
from services.cli.stars import TARGET_FORM, TARGET_HELP, located, star_on_nights
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.lightcurves.nights import Nights
    from services.lightcurves.reading import ApertureChoice

Format = Literal["csv", "ecsv", "fits", "votable", "parquet", "aavso", "exoclock", "etd", "lightkurve"]
SEVERAL_NIGHTS = ("csv", "ecsv", "fits", "votable", "parquet")  # formats with a column for the observation


@friendly
def lightcurve(
    observation: Annotated[
        int | None, typer.Option(help="Observation; without, all that have light curves of the star.")
    ] = None,
    target: Annotated[str | None, typer.Option(metavar=TARGET_FORM, help=f"Star: {TARGET_HELP}")] = None,
    source: Annotated[int | None, typer.Option(help="Source id, as in view source_catalog.")] = None,
    xy: Annotated[str | None, typer.Option(metavar="X,Y", help="Nearest source to pixels of the first frame.")] = None,
    radec: Annotated[str | None, typer.Option(metavar="RA,DEC", help="Nearest source to these coordinates.")] = None,
    gaia: Annotated[
        int | None, typer.Option(metavar="SOURCE_ID", help="The source of this number in Gaia DR3.")
    ] = None,
    aperture: Annotated[str, typer.Option(help="best, all, or the index of one.")] = "best",
    format_name: Annotated[Format, typer.Option("--format", help="Of the output.")] = "csv",
    output: Annotated[Path | None, typer.Option(help="File to write; else text goes to standard output.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw.")] = None,
) -> None:
    """Print, save or draw the light curve of one source, over all nights or of one.

    Each night's `flux_relative` has median 1 by itself; `mag` is on one scale over all nights.

    Examples: `tianyu lightcurve --target HAT-P-32`, `tianyu lightcurve --source 17 --plot lc.png --output lc.csv`,
    `tianyu lightcurve --observation 4 --radec 31.0428,46.6878 --format fits --output lc.fits`
    """
    if sum(given is not None for given in (target, source, xy, radec, gaia)) != 1:
        raise ConfigurationError("a star is chosen by --target, --radec, --gaia, --source or --xy: give one of them")
    settings = start()
    from schema import database
    from services.lightcurves.nights import read_nights
    from services.setup import open_database

    choice = _aperture(aperture)
    engine = open_database(settings)
    place = None if target is None else located(engine, settings, target)
    if radec is not None:
        place = Position(*parse_radec(radec), kind="sky")
    with database.reading_factory(engine)() as session:
        seen = star_on_nights(session, observation, place, source, None if xy is None else parse_pair(xy, "X,Y"), gaia)
        nights = read_nights(session, seen, choice)
    if len(seen) > 1 and (output is not None or plot is None) and format_name not in SEVERAL_NIGHTS:
        numbers = ", ".join(str(one.observation_id) for one, _ in seen)
        raise ConfigurationError(
            f"format {format_name} holds one observation and the star was seen in {numbers}: choose one (--observation)"
        )
    _tell(nights)
    _write(nights, output, plot, format_name)


def _aperture(text: str) -> "ApertureChoice":
    if text == "best":
        return "best"
    if text == "all":
        return "all"
    if text.isdigit():
        return int(text)
    raise ConfigurationError(f"--aperture {text!r} is neither best, all nor an index such as 0")


def _tell(nights: "Nights") -> None:
    for curve in nights.curves:
        star = curve.source
        where = f"x = {star.x:.2f}, y = {star.y:.2f} on the first frame"
        if star.ra_deg is not None and star.dec_deg is not None:
            where += f", RA {star.ra_deg:.6f}, Dec {star.dec_deg:+.6f}"
        night = f"observation {curve.observation.observation_id} ({curve.observation.title}), " * (
            len(nights.curves) > 1
        )
        note(f"{night}source {star.source_id} at {where}: {len(curve.table)} points")
    if len(nights.curves) > 1:
        scale = "mag is on one scale" if nights.in_magnitudes else "not all of them have magnitudes (mag)"
        note(f"flux_relative of each observation has median 1 by itself; {scale}")


def _write(nights: "Nights", output: Path | None, plot: Path | None, format_name: str) -> None:
    from services.lightcurves.export import write_file, write_stream

    table = nights.table if len(nights.curves) > 1 else nights.curves[0].table
    if plot is not None:
        if len(nights.curves) > 1:
            from services.plots.nights import draw_nights

            draw_nights(nights, plot)
        else:
            from services.plots.light_curve import draw_light_curve

            draw_light_curve(nights.curves[0], plot)
        note(f"drawn to {plot}")
    if output is not None:
        write_file(table, output, format_name)
        note(f"written to {output}")
    elif plot is None:
        write_stream(table, sys.stdout, format_name)
