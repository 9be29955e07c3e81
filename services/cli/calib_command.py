"""`tianyu calib list`, `tianyu calib explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, friendly, note, out, reading, start, table_of
from services.cli.master_lines import master_lines

if TYPE_CHECKING:
    from services.operating.calibration import CalibrationFrames

calib = typer.Typer(
    name="calib",
    help="The calibration library: bias, dark and flat frames, their masters, and what each observation gets.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@calib.command("list")
@friendly
def show_library(as_json: JsonOption = False) -> None:
    """All observations of calibration frames, with level and noise of the newest master and how many use it.

    Levels are ADU (bias; flats above the bias) or ADU a second (darks), noises ADU of one frame, of flats the share of
    a pixel of the master.

    Examples: `tianyu calib list`, `tianyu calib list --json`
    """
    from services.operating.calibration import library

    with reading(start()) as session:
        found = library(session)
    if as_json:
        out.print_json(data=[one.to_json() for one in found])
        return
    if not found:
        note("there are no calibration frames: `tianyu ingest RAW_DIR` registers frames")
        return
    numbers = ("exposure", "T", "frames", "rejected", "level", "noise", "used by")
    words = ("id", "kind", "instrument", "binning", "setting", "filter", "night", *numbers, "master")
    table = table_of(*words, right=numbers, wrapped=("instrument", "setting", "filter"))
    for one in found:
        table.add_row(*_row(one))
    out.print(table)


def _row(one: CalibrationFrames) -> list[str]:
    name = f"{one.instrument}, {one.telescope}" if one.telescope else one.instrument
    return [
        str(one.observation_id),
        one.kind,
        name,
        one.binning,
        one.setting,
        one.filter,
        str(one.night),
        f"{one.exposure_s:g}" if one.exposure_s else "",
        "" if one.temperature_c is None else f"{one.temperature_c:.1f}",
        str(one.frames),
        str(one.rejected),
        "" if one.level is None else f"{one.level:.4g}",
        "" if one.noise is None else f"{one.noise:.3g}",
        str(one.used_by),
        "" if one.master_pid is None else str(one.master_pid),
    ]


@calib.command("explain")
@friendly
def explain_masters(
    observation_id: Annotated[int, typer.Argument(help="Observation whose masters are explained.")],
    as_json: JsonOption = False,
) -> None:
    """Which masters an observation was calibrated with and would get now, and why not the others, nearest first.

    Examples: `tianyu calib explain 4`, `tianyu calib explain 4 --json`
    """
    from services.operating.calibration import explain

    settings = start()
    with reading(settings) as session:
        found = explain(session, settings, observation_id)
    if as_json:
        out.print_json(data=[one.to_json() for one in found])
        return
    if not found:
        note(f"the frames of observation {observation_id} take no masters")
    for line in master_lines(found, refusals=True):
        out.print(line, soft_wrap=True, markup=False)
