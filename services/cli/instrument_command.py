"""`tianyu instrument measure`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, counting, friendly, note, out, print_paths, start, table_of
from services.cli.given_names import InstrumentOption, LogOption, PatternOption, how_to_read, log_of

if TYPE_CHECKING:
    from services.operating.detector_report import DetectorReport
    from services.operating.measuring import Measured

instrument = typer.Typer(
    name="instrument",
    help="Cameras: what their calibration frames tell of them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@instrument.callback()
def instruments() -> None:
    """Cameras: what their calibration frames tell of them."""


@instrument.command("measure")
@friendly
def measure_instrument(
    folder: Annotated[Path, typer.Argument(help="Folder of bias, dark and flat frames; searched with its subfolders.")],
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw plots into this folder.")] = None,
    camera: InstrumentOption = None,
    pattern: PatternOption = None,
    observing_log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure gain, read noise, dark current, bad pixels, linearity and saturation in calibration frames.

    Each camera, binning, setting and read-out by itself, with errors, how sure they are, and what is lacking. Prints
    tables for `tianyu.toml` and writes no settings.

    Examples: `tianyu instrument measure /data/calibration`,
    `tianyu instrument measure /data/calibration --plots plots`
    """
    from services.ingest.given import Given
    from services.ingest.raw_folder import read_folder
    from services.operating.detector_report import report_of
    from services.operating.measuring import cameras_of, measure
    from services.whole_files import make_folder

    settings = start()
    reading, told = how_to_read(settings.reading, pattern), log_of(observing_log)
    if plots is not None:
        make_folder(plots)
    with counting("reading headers") as count:
        found = read_folder(folder, count, settings.frame_bounds, Given(None, None, camera), reading, told)
    for path, reason in found.unreadable:
        note(f"left out {str(path)!r}: {reason}")
    reports: list[DetectorReport] = []
    drawn: list[Path] = []
    for number, (one, frames) in enumerate(cameras_of(found).items(), start=1):
        with counting(f"measuring camera {number}") as count:
            measured = measure(one, frames, settings.frame_bounds, count)
        reports.append(report_of(measured))
        if plots is not None:
            drawn += _draw(measured, reports[-1].title, plots, number)
    if as_json:
        out.print_json(data=[report.to_json() for report in reports])
        return
    for report in reports:
        _show(report)
    _show_tables([report for report in reports if report.table])
    print_paths(drawn)


def _show(report: DetectorReport) -> None:
    table = table_of("", "value", "error", "unit", "sure", "by", right=("value", "error"), wrapped=("by",))
    for fact in report.facts:
        bound = {"at least": "≥ ", "at most": "≤ "}.get(fact.bound, "")
        table.add_row(fact.name, f"{bound}{fact.value:.5g}", f"{fact.error:.2g}", fact.unit, fact.sure, fact.by)
    out.print(report.title, style="bold", soft_wrap=True)
    out.print(table)
    for words, lines in (("doubtful", report.doubts), ("lacking", report.lacking)):
        for line in lines:
            out.print(f"{words}: {line}", soft_wrap=True)
    out.print()


def _show_tables(reports: list[DetectorReport]) -> None:
    """Tables for the settings; a name has one, further ones of a camera are remarks."""
    names = set()
    for report in reports:
        name = next(line for line in report.table.splitlines() if line.startswith("["))
        lines = report.table.splitlines()
        if name in names:
            lines = ["# Another state of the same camera; its name can have one table:", *(f"# {x}" for x in lines)]
        names.add(name)
        out.print("\n".join(lines), soft_wrap=True)
        out.print()


def _draw(found: Measured, title: str, folder: Path, number: int) -> list[Path]:
    from services.results.plots.detector_plots import draw_dark, draw_linearity, draw_transfer

    drawn = []
    if found.curve[0].size and found.read is not None:
        turn = None if found.turn is None else found.turn.value
        path = folder / f"camera{number}_transfer.png"
        drawn.append(draw_transfer(path, title, *found.curve, found.read.checkers.value, found.transfer, turn))
    if found.linearity:
        drawn.append(draw_linearity(folder / f"camera{number}_linearity.png", title, found.linearity))
    if found.dark_signal is not None:
        drawn.append(draw_dark(folder / f"camera{number}_dark.png", title, found.dark_signal, found.hot_exposure))
    return drawn
