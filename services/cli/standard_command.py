"""`tianyu standard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.console import ForceOption, JsonOption, friendly, note, out, start, table_of
from services.cli.star_options import aperture_choice, required, takes_star
from services.errors import ConfigurationError
from services.results.positions import Star

if TYPE_CHECKING:
    from services.results.lightcurves.standard import StandardCurve

Format = Literal["csv", "ecsv", "fits", "votable", "parquet"]
MINUTES_PER_DAY = 1440.0


@friendly
@takes_star
def standard(
    observation: Annotated[int | None, typer.Option(help="Observation; not needed when there is one.")] = None,
    star: Star | None = None,
    second: Annotated[
        int | None, typer.Option("--with", metavar="OBSERVATION", help="In another filter: the colour curve of both.")
    ] = None,
    colour_from: Annotated[
        Literal["catalogue", "filters"],
        typer.Option("--colour", help="BP-RP of the star: Gaia's, or at each moment that of the two filters."),
    ] = "catalogue",
    gap: Annotated[
        float, typer.Option(min=0.01, metavar="MINUTES", help="Longest between points that are interpolated.")
    ] = 30.0,
    aperture: Annotated[str, typer.Option(help="best, or the index of one.")] = "best",
    format_name: Annotated[Format, typer.Option("--format", help="Of the output.")] = "ecsv",
    output: Annotated[Path | None, typer.Option(help="File to write: one row a point.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw.")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a star's magnitudes to a standard band (B, V, Rc, Ic, g, r, i, z), or tell its colour by two filters.

    Printed is the transformation of the night with its errors, and the star's median magnitude.

    Examples: `tianyu standard --observation 4 --source 17`,
    `tianyu standard --observation 4 --with 5 --target HAT-P-32 --plot colour.png --output colour.ecsv`
    """
    from schema import database
    from services.cli.star_choice import find_star, located
    from services.destinations import require_replaceable
    from services.results.lightcurves import standard as found
    from services.results.lightcurves.export import write_file
    from services.results.lightcurves.observation_facts import find_observation
    from services.results.lightcurves.reading import read_light_curve
    from services.setup import open_database

    star = required(star)
    settings = start()
    chosen = aperture_choice(aperture)
    if colour_from == "filters" and second is None:
        raise ConfigurationError("--colour filters needs a second filter: --with OBSERVATION")
    written = [path for path in (output, plot) if path is not None]
    if len(set(written)) < len(written):
        raise ConfigurationError(f"--output and --plot are both {str(output)!r}: choose two files")
    engine = open_database(settings)
    place = located(engine, settings, star)
    curves: list[StandardCurve] = []
    with database.reading_factory(engine)() as session:
        require_replaceable(session, settings, written, force=force)
        for number in (observation,) if second is None else (observation, second):
            facts = find_observation(session, number)
            seen = read_light_curve(session, facts, find_star(session, facts, place), chosen)
            curves.append(found.required_curve(session, seen))
    both = None if second is None else found.colours(curves[0], curves[1], colour_from, gap / MINUTES_PER_DAY)
    table = curves[0].table() if both is None else both.table()
    if plot is not None:
        from services.results.plots.standard_plot import draw_colours, draw_standard  # with Matplotlib

        if both is None:
            draw_standard(curves[0], plot)
        else:
            draw_colours(both, plot)
        note(f"drawn to {plot}")
    if output is not None:
        write_file(table, output, format_name)
        note(f"written to {output}")
    facts_of = [found.to_json(one) for one in curves]
    if as_json:
        index = None if both is None else found.summary(both)
        out.print_json(data={"bands": facts_of, "colour": index, "files": [str(path) for path in written]})
        return
    for curve in curves:
        _print(curve)
    if both is not None:
        index = found.summary(both)
        value = "none: see the flags" if index["index"] is None else f"{index['index']:.3f} ± {index['error']:.3f} mag"
        out.print(f"{index['name']}  {value}, median of {index['points']} points", markup=False)


def _print(star: StandardCurve) -> None:
    from services.results.lightcurves.standard import ORIGINS, to_json

    facts, told = star.facts, to_json(star)
    by, observed = facts.by, star.curve.observation
    out.print(f"{observed.title}, filter {observed.filter or 'unnamed'}: band {by.band}", markup=False)
    table = table_of("", "")
    wrong = "not known" if facts.systematic is None else f"{facts.systematic:.3f} mag"
    table.add_row(
        "colour term", f"{by.colour_term:+.4f} ± {by.colour_term_error:.4f} × (BP-RP {-by.colour_reference:+.3f})"
    )
    table.add_row("BP-RP of its stars", f"{by.colour_low:.2f} to {by.colour_high:.2f}")
    table.add_row("stars", f"{facts.stars}, scatter {1000.0 * facts.scatter:.1f} mmag")
    table.add_row("magnitudes of these", ORIGINS[facts.origin])
    table.add_row("their systematic error", wrong)
    if told["magnitude"] is None:
        table.add_row("this star", f"no magnitude: {star.refusal or 'no point is usable'}")
    else:
        table.add_row(
            "this star",
            f"{by.band} = {told['magnitude']:.3f} ± {told['magnitude_error']:.3f}, BP-RP {star.colour:.2f}, "
            f"median of {told['points']} points",
        )
    out.print(table)
