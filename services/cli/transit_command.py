"""`tianyu transit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import ForceOption, JsonOption, err, friendly, note, out, print_paths, start, table_of
from services.cli.star_options import required, takes_star
from services.errors import ConfigurationError, DataError
from services.results.positions import Star

if TYPE_CHECKING:
    from services.results.variability.transit import StarTransit

# Name, attribute, factor from the fit's unit, decimals.
ROWS = (
    ("mid-time, BJD (TDB)", "mid_time", 1.0, 5),
    ("duration, h", "duration", 24.0, 3),
    ("depth, %", "depth", 100.0, 3),
    ("radius ratio", "radius_ratio", 1.0, 4),
    ("impact", "impact", 1.0, 2),
    ("limb darkening", "limb_darkening", 1.0, 2),
    ("jitter, mmag", "jitter", 1000.0, 2),
)
TRUSTED_DRAWS = 30.0  # of the evidence's integration
STEPS = 1500
FILES = ("transit.ecsv", "transit.json", "transit.png", "corner.png")
ARCHIVES = {"exoclock.txt": "exoclock", "etd.txt": "etd"}  # format of each file


@friendly
@takes_star
def transit(
    observation: Annotated[int | None, typer.Option(help="Observation; not needed when there is one.")] = None,
    star: Star | None = None,
    mid: Annotated[float | None, typer.Option(metavar="BJD", help="Expected mid-transit, BJD (TDB).")] = None,
    window: Annotated[float, typer.Option(min=0.01, metavar="HOURS", help="How far from --mid it may lie.")] = 1.0,
    duration: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="HOURS", help="Expected, first to fourth contact; half to twice is tried."),
    ] = None,
    planets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Planets, as ExoClock's planets_json or a table has them.")
    ] = None,
    planet: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of --planets: all nights with a transit of it in one fit.")
    ] = None,
    limb_darkening: Annotated[
        list[str] | None, typer.Option(metavar="FILTER=U,V", help="Quadratic, of the star in a filter; with --planet.")
    ] = None,
    limb_table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Limb darkening: filter, teff, logg, u, v; with --planet.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers: the same gives the same result.")] = 1,
    steps: Annotated[int, typer.Option(min=200, max=100_000, help="Of the sampler.")] = STEPS,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for light curve, plots and the files of archives.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fit one transit in a star's light curve, and say how much more likely it is than a trend alone.

    Printed are medians with their central 68 %. A logarithm of the Bayes factor above 5 is strong evidence.
    The folder gets transit.ecsv (detrended), transit.json, transit.png, corner.png (posterior), exoclock.txt, etd.txt.

    With --planet all nights of the star are fitted at once, with quadratic limb darkening and the planet's period;
    printed are also O-C and the ephemeris that follows.

    Examples: `tianyu transit --source 17`,
    `tianyu transit --observation 4 --target HAT-P-32 --mid 2458107.711 --duration 3 --output transit`,
    `tianyu transit --planets planets.json --planet HAT-P-32b --limb-darkening R=0.32,0.30 --output transits`
    """
    from schema import database

    if planet is not None or planets is not None:
        if planet is None or planets is None:
            raise ConfigurationError("--planets FILE and --planet NAME go together: give both")
        if mid is not None or duration is not None:
            raise ConfigurationError("--mid and --duration are the planet's own: leave them out with --planet")
        _fit_planet(
            observation,
            star,
            planets,
            planet,
            limb_darkening or [],
            limb_table,
            window,
            seed,
            steps,
            output,
            force,
            as_json,
        )
        return
    if limb_darkening or limb_table is not None:
        raise ConfigurationError(
            "--limb-darkening and --limb-table go with --planet: a single transit is fitted without"
        )
    from services.cli.star_choice import find_star, located
    from services.destinations import require_replaceable
    from services.results.lightcurves.observation_facts import find_observation
    from services.results.lightcurves.reading import read_light_curve
    from services.results.variability.transit import Expectation, fit_star
    from services.setup import open_database

    star = required(star)
    settings = start()

    engine = open_database(settings)
    place = located(engine, settings, star)
    with database.reading_factory(engine)() as session:
        if output is not None:
            require_replaceable(session, settings, [output / name for name in (*FILES, *ARCHIVES)], force=force)
        facts = find_observation(session, observation)
        curve = read_light_curve(session, facts, find_star(session, facts, place))
    expectation = Expectation(mid, None if mid is None else window, duration)
    with err.status(f"sampling {steps} steps"):
        result = fit_star(curve, expectation, seed=seed, steps=steps)
    if result.fit.effective_draws < TRUSTED_DRAWS:
        note("the Bayes factor rests on few draws: try more --steps, or narrow --mid and --duration")
    files = [] if output is None else _write(result, output)
    if as_json:
        out.print_json(data=result.to_json() | {"files": [str(path) for path in files]})
        return
    _print(result)
    print_paths(files)


def _fit_planet(
    observation: int | None,
    star: Star | None,
    planets: Path,
    planet: str,
    given: list[str],
    limb_table: Path | None,
    window: float,
    seed: int,
    steps: int,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """All nights of a planet's star."""
    from schema import database
    from services.cli import planet_answers as joint
    from services.cli.star_choice import located, star_on_nights
    from services.destinations import require_replaceable
    from services.results.lightcurves.star_nights import read_nights
    from services.results.positions import Position
    from services.results.variability.joint_transits import fit_planet
    from services.results.variability.planet_table import read_planet
    from services.setup import open_database

    facts = read_planet(planets, planet)
    coefficients = joint.given_coefficients(given)
    if star is None and facts.ra_deg is not None and facts.dec_deg is not None:
        star = Position(facts.ra_deg, facts.dec_deg, kind="sky")
    star = required(star)
    settings = start()
    engine = open_database(settings)
    place = located(engine, settings, star)
    with database.reading_factory(engine)() as session:
        nights = read_nights(session, star_on_nights(session, observation, place))
        if output is not None:
            of_nights = [joint.night_file(curve.observation.observation_id) for curve in nights.curves]
            names = [output / name for name in (*joint.FILES, *of_nights)]
            require_replaceable(session, settings, names, force=force)
    filters = sorted({curve.observation.filter for curve in nights.curves})
    coefficients = joint.by_table(limb_table, facts, filters, coefficients)
    with err.status(f"sampling {steps} steps"):
        found = fit_planet(nights.curves, facts, coefficients, window_h=window, seed=seed, steps=steps)
    for line in nights.notes:
        note(line)
    joint.show(found, output, as_json=as_json)


def _print(result: StarTransit) -> None:
    fit, star = result.fit, result.curve.source
    out.print(
        f"source {star.source_id} at x = {star.x:.1f}, y = {star.y:.1f} on the first frame, "
        f"{result.curve.observation.title}: {int(fit.used.sum())} points",
        markup=False,
        soft_wrap=True,
    )
    table = table_of("", "median", "−", "+", right=("median", "−", "+"))
    for name, attribute, factor, decimals in ROWS:
        value = getattr(fit, attribute)
        numbers = (value.median, value.median - value.lower, value.upper - value.median)
        table.add_row(name, *(f"{number * factor:.{decimals}f}" for number in numbers))
    out.print(table)
    out.print(f"ln Bayes factor  {fit.log_bayes_factor:.1f} ± {fit.log_bayes_factor_error:.2f} over a quadratic trend")
    out.print(f"residual scatter {result.residual_scatter:.2%} a point; red noise β {fit.red_noise:.2f}")


def _write(result: StarTransit, folder: Path) -> list[Path]:
    """Write all files; an archive's that cannot be made is left out, with the reason."""
    from services.results.lightcurves.export import write_file
    from services.results.lightcurves.points import achieved_over_quoted
    from services.results.plots.transit_plot import draw_corner, draw_transit  # with Matplotlib, which takes 0.3 s
    from services.whole_files import make_folder, whole_file

    make_folder(folder)
    files = [folder / name for name in FILES]
    write_file(result.table(), files[0], "ecsv")
    with whole_file(files[1]) as temporary:
        temporary.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    draw_transit(result, files[2])
    draw_corner(result, files[3])
    for name, format_name in ARCHIVES.items():
        path = folder / name
        try:
            write_file(result.curve.table, path, format_name)
            factor = achieved_over_quoted(result.curve.table)
        except DataError as error:
            note(f"no {path.name}: {error}")
        else:
            if factor > 1.0:
                note(f"errors in {path.name} are multiplied by {factor:.2f}, as points scatter")
            files.append(path)
    return files
