"""`tianyu lightcurve`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.console import ForceOption, JsonOption, friendly, note, out, say, start
from services.cli.star_options import aperture_choice, required, takes_stars
from services.errors import ConfigurationError
from services.results.positions import Star

if TYPE_CHECKING:
    from astropy.table import Table
    from sqlalchemy.orm import Session

    from services.results.lightcurves.aavso import Submission
    from services.results.lightcurves.reading import LightCurve
    from services.results.lightcurves.star_nights import Nights

Format = Literal["csv", "ecsv", "fits", "votable", "parquet", "aavso", "exoclock", "etd", "lightkurve"]
SEVERAL_NIGHTS = ("csv", "ecsv", "fits", "votable", "parquet")  # formats with a column for the observation


@friendly
@takes_stars
def lightcurve(
    observation: Annotated[
        list[int] | None, typer.Option(help="Observation, repeatable; without, all that have light curves of the star.")
    ] = None,
    stars: list[tuple[str, Star]] = [],  # noqa: B006 - the options give it
    targets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List of stars: names, places, Gaia's numbers, source ids.")
    ] = None,
    forced: Annotated[
        bool,
        typer.Option("--forced", help="Fluxes and limits at places that were asked for, whatever is there."),
    ] = False,
    aperture: Annotated[str, typer.Option(help="best, all, or the index of one.")] = "best",
    format_name: Annotated[
        Format | None, typer.Option("--format", help="Of the output; by default as the file's name ends, else CSV.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File to write; else text goes to standard output.")] = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for a file a star.")] = None,
    plot: Annotated[Path | None, typer.Option(help="File to draw: PNG, PDF or SVG, as its name ends.")] = None,
    observer: Annotated[str | None, typer.Option(metavar="CODE", help="Of `aavso`: the observer's code.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Of `aavso`: the star's name in VSX; by default as `tianyu target` knows it.")
    ] = None,
    known: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of `aavso`: known variables, such as VSX, that name the star.")
    ] = None,
    known_column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="Of --known: its column for name, ra, dec, type or period."),
    ] = None,
    chart: Annotated[str, typer.Option(metavar="ID", help="Of `aavso`: chart of the comparison stars.")] = "na",
    band: Annotated[
        str | None, typer.Option(metavar="CODE", help="Of `aavso`: the filter's code, where its name does not tell it.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print, save or draw light curves of a star or a list, over all nights or some.

    Each night's `flux_relative` has median 1 by itself; `mag` is on one scale over all nights. Of several stars all are
    in one table (or a file each), and a second one says what became of each: found, ambiguous or not found, and why.
    With `--forced` it is the flux at places that `tianyu publish 4 --forced LIST` measures, with upper limits.

    Examples: `tianyu lightcurve --target HAT-P-32`, `tianyu lightcurve --source 17 --plot lc.png --output lc.csv`,
    `tianyu lightcurve --observation 4 --radec 31.0428,46.6878 --format fits --output lc.fits`,
    `tianyu lightcurve --observation 4 --target "RR Lyr" --format aavso --observer ABC --output rrlyr.txt`,
    `tianyu lightcurve --source 17 --json`, `tianyu lightcurve --targets list.csv --output all.fits`,
    `tianyu lightcurve --source 17 --source 23 --observation 4 --folder curves`,
    `tianyu lightcurve --forced --targets list.csv --output limits.fits`
    """
    from schema import database
    from services.cli.star_choice import located, star_on_nights
    from services.cli.star_lists import ListOutput, show_list
    from services.destinations import require_replaceable
    from services.results.lightcurves.export import format_of
    from services.results.lightcurves.star_nights import read_nights
    from services.results.lightcurves.submission import read_submission
    from services.results.lists.list_file import Wanted, read_list
    from services.setup import open_database

    settings = start()
    wanted = [Wanted(*one) for one in stars] + ([] if targets is None else read_list(targets))
    chosen = observation or []
    if forced:
        from services.cli.forced_places import show_forced

        if plot is not None or folder is not None:
            raise ConfigurationError("--forced gives one table of all places: leave out --plot and --folder")
        listed = ListOutput(output, None, format_of(output, format_name), as_json, force)
        show_forced(open_database(settings), settings, wanted, chosen, aperture_choice(aperture, all_too=True), listed)
        return
    if targets is not None or folder is not None or len(wanted) > 1 or len(chosen) > 1:
        if plot is not None:
            raise ConfigurationError("--plot draws one star: give one, and one --observation or none")
        required(wanted[0].star if wanted else None)
        listed = ListOutput(output, folder, format_of(output, format_name), as_json, force)
        show_list(open_database(settings), settings, wanted, chosen, aperture_choice(aperture, all_too=True), listed)
        return
    star = required(wanted[0].star if wanted else None)
    written = [path for path in (output, plot) if path is not None]
    if len(set(written)) < len(written):
        raise ConfigurationError(f"--output and --plot are both {str(output)!r}: choose two files")
    choice = aperture_choice(aperture, all_too=True)
    engine = open_database(settings)
    place = located(engine, settings, star)
    with database.reading_factory(engine)() as session:
        require_replaceable(session, settings, written, force=force)
        told = format_of(output, format_name)
        seen = star_on_nights(session, chosen[0] if chosen else None, place)
        nights = read_nights(session, seen, choice)
    is_written = output is not None or (plot is None and not as_json)
    if len(nights.curves) > 1 and is_written and told not in SEVERAL_NIGHTS:
        numbers = ", ".join(str(curve.observation.observation_id) for curve in nights.curves)
        raise ConfigurationError(
            f"format {told} holds one observation and the star was seen in {numbers}: choose one (--observation)"
        )
    submission = None
    if told == "aavso" and is_written:
        with database.reading_factory(engine)() as session:
            curve = nights.curves[0]
            called = name if name is not None or known is None else _name_in(known, known_column or [], session, curve)
            submission = read_submission(session, curve, observer=observer, name=called, chart=chart, band=band)
    _tell(nights)
    _write(nights, output, plot, told, submission, as_json)


def _name_in(table: Path, columns: list[str], session: Session, curve: LightCurve) -> str:
    """The name of the star in a table of known variables."""
    import numpy as np

    from services.results.lightcurves.selection import sky_tolerance
    from services.results.variability.known_variables import read_known

    star = curve.source
    if star.ra_deg is None or star.dec_deg is None:
        raise ConfigurationError(f"source {star.source_id} has no place on the sky: say its name (--name)")
    reach = sky_tolerance(session, curve.observation)
    [found] = read_known(table, columns).nearest(np.array([[star.ra_deg, star.dec_deg]]), reach)
    if found is None:
        raise ConfigurationError(
            f'{str(table)!r} has no star within {reach:.3g}" of source {star.source_id} at {star.ra_deg:.5f}, '
            f"{star.dec_deg:+.5f}: say its name (--name)"
        )
    note(f"source {star.source_id} is {found.words} in {table}")
    return found.name


def _tell(nights: Nights) -> None:
    for line in nights.notes:
        note(line)
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


def _tell_errors(table: Table) -> None:
    from services.results.lightcurves.points import achieved_over_quoted

    factor = achieved_over_quoted(table)
    if factor > 1.0:
        note(f"errors are multiplied by {factor:.2f}: so much more than quoted do points scatter from one to the next")


def _write(
    nights: Nights,
    output: Path | None,
    plot: Path | None,
    format_name: str,
    submission: Submission | None,
    as_json: bool,
) -> None:
    from services.results.lightcurves.export import write_file, write_stream

    table = nights.table if len(nights.curves) > 1 else nights.curves[0].table
    if format_name in ("exoclock", "etd"):
        _tell_errors(table)
    if plot is not None:
        if len(nights.curves) > 1:
            from services.results.plots.nights_plot import draw_nights  # with Matplotlib, which takes 0.3 s

            draw_nights(nights, plot)
        else:
            from services.results.plots.light_curve_plot import draw_light_curve  # with Matplotlib, which takes 0.3 s

            draw_light_curve(nights.curves[0], plot)
        note(f"drawn to {plot}")
    if output is not None:
        write_file(table, output, format_name, submission)
        note(f"written to {output}")
    if as_json:
        from services.results.lightcurves.formats import to_json

        files = [str(path) for path in (output, plot) if path is not None]
        out.print_json(data={"light_curves": [to_json(curve.table) for curve in nights.curves], "files": files})
    elif output is None and plot is None:
        text = StringIO()
        write_stream(table, text, format_name, submission)
        say(text.getvalue())
