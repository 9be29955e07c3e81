"""`tianyu analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from services.cli.console import ForceOption, JsonOption, friendly, note, out, print_paths, progress, start, table_of
from services.cli.star_options import required, takes_star
from services.errors import ConfigurationError, DataError
from services.results.positions import Star

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.results.lightcurves.observation_facts import ObservationFacts
    from services.results.variability.candidates import Candidate
    from services.results.variability.known_variables import KnownStars
    from services.results.variability.precision import Precision


@friendly
@takes_star
def analyze(
    observation: Annotated[
        int | None, typer.Argument(help="Observation, as `tianyu status` lists it; not needed with --all-nights.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Stars to list.")] = 10,
    star: Star | None = None,
    all_nights: Annotated[
        bool, typer.Option("--all-nights", help="Period of one star over all its nights; draws SOURCE_period.png.")
    ] = False,
    known: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Known variables, such as VSX: which of the stars they are.")
    ] = None,
    known_column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="Of --known: its column for name, ra, dec, type or period."),
    ] = None,
    known_radius: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="ARCSEC", help="Of --known, from star to place; without, 5 arcsec or a pixel."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for a plot of each star listed: SOURCE.png; with --all-nights this folder by default.",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the stars of an observation that vary, the surest first, and say how precise its light curves are.

    A star is a candidate where no constant star of the field is likely to look like it (false alarm below 1 in 500),
    and neither the frames nor a neighbour explain it. Where a star is chosen, it alone is listed. With --all-nights its
    period is sought in all its observations together, with its error and the other periods that the gaps between the
    nights allow.

    Examples: `tianyu analyze 4`, `tianyu analyze 4 --top 30 --output candidates`, `tianyu analyze 4 --known vsx.csv`,
    `tianyu analyze 4 --source 17 --json`, `tianyu analyze --target HAT-P-32 --all-nights`
    """
    from schema import database
    from services.cli.star_choice import find_star, located
    from services.destinations import require_replaceable
    from services.results.lightcurves.observation_facts import observation_facts
    from services.results.variability.candidates import (
        count_candidates,
        count_trends,
        read_candidates,
        require_analysis,
    )
    from services.results.variability.known_variables import known_json, match_known, read_known
    from services.results.variability.precision import read_precision
    from services.setup import open_database

    if known is None and (known_column or known_radius is not None):
        raise ConfigurationError(
            "--known-column and --known-radius are of a table of variables: give it (--known FILE)"
        )
    if all_nights and known is not None:
        raise ConfigurationError("--known is of one observation's stars: leave it out with --all-nights")
    if all_nights:
        from services.cli.periods_table import show_periods  # with Matplotlib, which takes 0.3 s

        show_periods(observation, required(star), output or Path(), force, as_json)
        return
    if observation is None:
        raise ConfigurationError("which observation? `tianyu status` lists them; --all-nights joins those of one star")
    settings = start()
    table = None if known is None else read_known(known, known_column or [])
    engine = open_database(settings)
    place = None if star is None else located(engine, settings, star)
    with database.reading_factory(engine)() as session:
        facts = observation_facts(session, observation)
        require_analysis(session, facts)
        only = None if place is None else find_star(session, facts, place).source_id
        listed = read_candidates(session, facts, top, only)
        count = count_candidates(session, facts.analysis_pid)
        trends = count_trends(session, facts.analysis_pid)
        precision = read_precision(session, facts)
        variables = None if table is None else match_known(session, facts, table, known_radius)
        if output is not None:
            require_replaceable(session, settings, [_plot_of(star, output) for star in listed], force=force)
        plots = [] if output is None else _draw(session, facts, listed, output)
    if as_json:
        named = {} if variables is None else variables.by_source
        stars = [star.to_json() | {"known": known_json(named.get(star.source_id))} for star in listed]
        files = [str(path) for path in plots]
        out.print_json(
            data={
                "observation_id": observation,
                "candidates": count,
                "trends": trends,
                "stars": stars,
                "precision": precision.to_json(),
                "known": None if variables is None else variables.to_json(),
                "plots": files,
            }
        )
        return
    out.print(f"observation {observation}: {facts.title}", markup=False)
    _print_precision(precision)
    out.print(f"  candidates       {count} of {precision.stars} stars vary")
    if trends:
        out.print(f"  trends           {trends} more change along the whole night, and no faster")
    if variables is not None:
        out.print(
            f"  known variables  {len(variables.by_source)} of its stars, {variables.candidates} of them candidates; "
            f"{variables.unknown} candidates are not known"
        )
    out.print(_table(listed, variables))
    print_paths(plots)


def _plot_of(star: Candidate, folder: Path) -> Path:
    return folder / f"{star.source_id}.png"


def _draw(session: Session, facts: ObservationFacts, listed: list[Candidate], folder: Path) -> list[Path]:
    from services.results.lightcurves.reading import read_light_curve
    from services.results.lightcurves.selection import find_source
    from services.results.plots.candidates_plot import draw_candidate  # with Matplotlib, which takes 0.3 s
    from services.whole_files import make_folder

    make_folder(folder)
    drawn = []
    with progress() as bars:
        for star in bars.track(listed, description="drawing"):
            try:
                curve = read_light_curve(
                    session, facts, find_source(session, facts, source_id=star.source_id), star.aperture
                )
                drawn.append(draw_candidate(curve, star, _plot_of(star, folder)))
            except DataError as error:
                note(f"no plot of source {star.source_id}: {error}")
    return drawn


def _print_precision(precision: Precision) -> None:
    if precision.cdpp_ppm is not None:
        promised = precision.expected_cdpp_ppm
        words = "" if promised is None else f"; their errors promise {promised:.0f} ppm"
        out.print(
            f"  CDPP of 0.5 h    {precision.cdpp_ppm:.0f} ppm of the {precision.brightest} brightest unsaturated stars"
            f"{words}",
            soft_wrap=True,
        )
    ratios = [
        f"{name} {ratio:.2f} of the promised"
        for name, ratio in (("CDPP", precision.cdpp_ratio), ("scatter", precision.scatter_ratio))
        if ratio is not None
    ]
    if ratios:
        out.print(f"  all stars        median {', '.join(ratios)}")
    for star in precision.checks:
        cdpp = "" if star.cdpp_ppm is None else f", CDPP {star.cdpp_ppm:.0f} ppm"
        out.print(
            f"  check star       source {star.source_id}: scatter {_percent(star.scatter)}, "
            f"error {_percent(star.error)}{cdpp}"
        )


def _table(listed: list[Candidate], variables: KnownStars | None) -> Table:
    from services.results.variability.candidates import LEAST_CHANCE

    solved = any(star.ra_deg is not None for star in listed)
    star_is = ("rank", "source", *(("RA", "Dec") if solved else ("x", "y")), "mag")
    tests = ("false alarm", "excess", "Stetson J")
    names = () if variables is None else ("known as",)
    table = table_of(*star_is, "", "why", *tests, *names, right=star_is + tests, wrapped=("why",))
    for star in listed:
        place = (star.ra_deg, star.dec_deg, "9.5f") if solved else (star.x, star.y, ".1f")
        table.add_row(
            str(star.rank),
            str(star.source_id),
            _text(place[0], place[2]),
            _text(place[1], place[2]),
            _text(star.magnitude, ".2f"),
            "*" if star.candidate else "",
            star.why,
            _text(None if star.false_alarm is None else max(star.false_alarm, LEAST_CHANCE), ".1e"),
            _percent(star.excess_scatter),
            _text(star.stetson_j, ".2f"),
            *(() if variables is None else (_known_as(variables, star.source_id),)),
        )
    table.caption = "* candidate; doubted: improbable, but the frames, a neighbour or bad points may explain it"
    return table


def _known_as(variables: KnownStars, source_id: int) -> str:
    found = variables.by_source.get(source_id)
    return "" if found is None else found.words


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
