"""What `tianyu analyze --all-nights` prints: one star's period over all its nights."""

from pathlib import Path

from rich.table import Table

from pipeline.units import HOURS_PER_DAY
from schema import database
from services.cli.console import err, note, out, print_paths, start, table_of
from services.cli.star_choice import located, star_on_nights
from services.destinations import require_replaceable
from services.results.lightcurves.reading import LightCurve
from services.results.lightcurves.star_nights import read_nights, seen_as
from services.results.plots.periods_plot import draw_periods
from services.results.positions import Star
from services.results.variability.candidates import LEAST_CHANCE
from services.results.variability.periods import SHOWN_ALTERNATIVES, StarPeriods, find_periods
from services.setup import open_database
from services.whole_files import make_folder

BELIEVED_CHANCE = 0.01  # of a period by chance
LIKELY = 0.01  # evidence relative to the best from which a period is a rival


def show_periods(observation: int | None, star: Star, folder: Path, force: bool, as_json: bool) -> None:
    """Search all nights of a star, draw SOURCE_period.png into the folder, and print.

    An observation, where one is given, tells which star is meant: pixels are those of its own frames.
    """
    settings = start()
    engine = open_database(settings)
    place = located(engine, settings, star)
    with database.reading_factory(engine)() as session:
        seen = star_on_nights(session, observation, place)
        if observation is not None:
            seen = seen_as(session, source_id=seen[0][1].source_id)
        nights = read_nights(session, seen)
        files = [_plot_of(curve, folder) for curve in nights.curves]
        require_replaceable(session, settings, files, force=force)
    for line in nights.notes:
        note(line)
    with err.status(f"searching {len(nights.curves)} nights"):
        found = find_periods(nights)
    make_folder(folder)
    path = draw_periods(found, _plot_of(found.curves[0], folder))
    _tell(found)
    if as_json:
        out.print_json(data=found.to_json() | {"plot": str(path)})
        return
    _print(found)
    print_paths([path])


def _plot_of(curve: LightCurve, folder: Path) -> Path:
    return folder / f"{curve.source.source_id}_period.png"


def _tell(found: StarPeriods) -> None:
    if found.left_out:
        numbers = ", ".join(str(number) for number in found.left_out)
        note(f"left out, without usable points or times: observation {numbers}")
    if not found.barycentric:
        note("no night has barycentric times: JD (UTC) serves, minutes off over months")
    if found.search.shortened:
        shortest = HOURS_PER_DAY / float(found.search.frequencies[-1])
        note(f"the nights span so long that periods below {shortest:.3g} h were not searched")


def _print(found: StarPeriods) -> None:
    best, search = found.search.best, found.search
    numbers = ", ".join(str(curve.observation.observation_id) for curve in found.curves)
    out.print(
        f"source {found.curves[0].source.source_id}: {found.time.size} points of observation {numbers}",
        soft_wrap=True,
        highlight=False,
    )
    doubt = "" if search.false_alarm < BELIEVED_CHANCE else ": noise may look like this"
    scale = "BJD TDB" if found.barycentric else "JD UTC"
    for name, text in (
        ("period", f"{best.period:.9f} ± {best.period_error:.9f} d ({best.period * HOURS_PER_DAY:.6g} h)"),
        ("amplitude", f"±{best.amplitude:.4f} ± {best.amplitude_error:.4f} mag"),
        ("faintest", f"{best.epoch:.5f} ({scale})"),
        ("harmonics", f"{best.harmonics}"),
        ("noise", f"{best.noise:.2f} of what the errors promise"),
        ("false alarm", f"{max(search.false_alarm, LEAST_CHANCE):.1e}{doubt}"),
    ):
        out.print(f"  {name:<15}  {text}", highlight=False, soft_wrap=True)
    out.print(_alternatives(found))


def _alternatives(found: StarPeriods) -> Table:
    numbers = ("period, d", "error, d", "evidence")
    table = table_of(*numbers, "to the best", right=numbers, wrapped=("to the best",))
    for other in found.search.alternatives[: SHOWN_ALTERNATIVES + 1]:
        table.add_row(
            f"{other.fit.period:.9f}",
            f"{other.fit.period_error:.2g}",
            f"{max(other.relative_evidence, LEAST_CHANCE):.2g}",
            other.relation or ("best" if other.fit is found.search.best else ""),
        )
    rivals = sum(other.relative_evidence > LIKELY for other in found.search.alternatives[1:])
    table.caption = (
        f"{rivals} of the other periods may be the true one" if rivals else "no other period does nearly as well"
    )
    return table
