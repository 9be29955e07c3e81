"""`tianyu inject`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.console import JsonOption, counting, friendly, note, out, reading, start, table_of
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.trials.injection import Report
    from services.trials.injection.recovery_report import Cell, Fraction

PERCENT = 100.0


@friendly
def inject(
    observation: Annotated[int, typer.Argument(help="Processed observation, as `tianyu status` lists it.")],
    out_dir: Annotated[Path, typer.Argument(help="New folder for frames, light curves and tables.")],
    kind: Annotated[Literal["transit", "pulsation"], typer.Option(help="Of the signal.")] = "transit",
    amplitudes: Annotated[
        str, typer.Option(metavar="A,B,…", help="Depths or semi-amplitudes, parts of the star's light.")
    ] = "0.003,0.01,0.03",
    stars: Annotated[int, typer.Option(min=1, help="Stars to vary; at most one in 30 of like brightness.")] = 30,
    duration: Annotated[float | None, typer.Option(help="Of a transit, hours; default a quarter of the night.")] = None,
    period: Annotated[float | None, typer.Option(help="Of a pulsation, hours; default 0.4 of the night.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed chooses other stars and moments.")] = 0,
    consumers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes at a time. Default: one a core, at most 4.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put signals into the raw frames of an observation, process them, and tell how many are found again.

    The observation itself and its files stay as they are.

    Examples: `tianyu inject 4 injected`,
    `tianyu inject 4 injected --kind pulsation --amplitudes 0.002,0.005 --period 1.5 --stars 60`
    """
    from schema import database
    from schema.queries.choices import of_graph
    from services import log
    from services.choices import read_choices
    from services.cli.patience import follow
    from services.setup import open_database
    from services.trials import injection
    from services.trials.injection.plan import write_truth
    from services.trials.injection.recovery import write_recovery
    from services.trials.injection.recovery_plot import draw_recovery

    wanted = _amplitudes(amplitudes)
    settings = start()
    log.configure(settings.log_format, "WARNING")  # the pipeline that runs inside is no service

    with reading(settings) as session:
        night = injection.read_night(session, settings, observation)
        plan = injection.make_plan(session, night, kind, wanted, stars, seed, duration, period)
        stored = of_graph(session, night.facts.graph_pid or 0)
    if stored is None:
        note(f"observation {observation} was published before choices were stored: the settings of now are taken")
    choices = settings.choices if stored is None else read_choices(stored.choices)
    folder = injection.claim_folder(out_dir)
    injection.require_space(night, folder)
    if plan.source_id.size < stars:
        note(
            f"{plan.source_id.size} stars get a signal: isolated, constant, measured well, and one in 30 of like "
            "brightness at most"
        )
    write_truth(plan, folder)
    with counting("writing frames") as count:
        frames = injection.write_frames(night, plan, choices, folder, seed, count)
    made, number = injection.process(frames, folder / injection.WORK_FOLDER, choices, consumers, follow)
    with database.reading_factory(open_database(made))() as session:
        after = injection.read_night(session, made, number)
        recovery = injection.measure(session, night, after, plan, folder)
    report = injection.make_report(observation, night.facts.title, plan, recovery)
    table, drawn = write_recovery(plan, recovery, folder), draw_recovery(plan, recovery, report, folder)
    if as_json:
        out.print_json(data=report.to_json())
        return
    _show(report)
    out.print(f"{table} has each star, {drawn} shows them", soft_wrap=True, markup=False)


def _amplitudes(text: str) -> list[float]:
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        values = []
    if not values or not all(0 < value < 1 for value in values):
        raise ConfigurationError(
            f"--amplitudes {text!r}: expected parts of the star's light above 0 and below 1, such as 0.003,0.01"
        )
    return values


def _show(report: Report) -> None:
    shares = ("known %", "68 %", "blind %", "68 %", "bias %", "scatter %", "loss %")
    headings = ("amplitude", "magnitude", "stars", *shares)
    title = f"observation {report.observation_id}: {report.kind}s put in and found again"
    table = table_of(*headings, right=headings, title=title)
    for total in report.totals:
        for cell in (*(one for one in report.cells if one.amplitude == total.amplitude), total):
            table.add_row(*_row(cell, "all" if cell is total else f"{cell.magnitude_from:.1f}–{cell.magnitude_to:.1f}"))
        table.add_section()
    out.print(table)
    if report.lost:
        out.print(f"{report.lost} injected stars were not found again")
    out.print(
        f"{report.false_candidates} of {report.not_injected} stars without a signal are candidates, "
        f"{report.candidates_before} of them were before; known: amplitude at 5 sigma at its moment; "
        "blind: put forward as variable",
        soft_wrap=True,
    )


def _row(cell: Cell, magnitudes: str) -> list[str]:
    return [
        f"{cell.amplitude:g}",
        magnitudes,
        str(cell.known.tried),
        *_share(cell.known),
        *_share(cell.blind),
        *("" if value is None else f"{PERCENT * value:+.1f}" for value in (cell.bias, cell.scatter, cell.loss)),
    ]


def _share(fraction: Fraction) -> tuple[str, str]:
    percent = PERCENT * fraction.found / fraction.tried
    return f"{percent:.0f}", f"{PERCENT * fraction.low:.0f}–{PERCENT * fraction.high:.0f}"
