"""`tianyu calib list`, `tianyu calib explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, friendly, note, out, reading, start
from services.cli.listing import Column, table_for_people
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


def _camera(one: CalibrationFrames) -> str:
    return ", ".join(part for part in (one.instrument, one.telescope) if part)


# What machines get besides is `CalibrationFrames.to_json`.
COLUMNS: tuple[Column[CalibrationFrames], ...] = (
    Column("observation_id", lambda one: one.observation_id, "id"),
    Column("kind", lambda one: one.kind, "kind"),
    Column("instrument", _camera, "instrument", wrapped=True),
    Column("binning", lambda one: one.binning, "binning"),
    Column("setting", lambda one: one.setting, "setting", wrapped=True),
    Column("filter", lambda one: one.filter, "filter", wrapped=True),
    Column("night", lambda one: one.night, "night"),
    Column("exposure_s", lambda one: one.exposure_s or None, "exposure", "g"),
    Column("temperature_c", lambda one: one.temperature_c, "T", ".1f"),
    Column("frames", lambda one: one.frames, "frames", "d"),
    Column("rejected", lambda one: one.rejected, "rejected", "d"),
    Column("level", lambda one: one.level, "level", ".4g"),
    Column("noise", lambda one: one.noise, "noise", ".3g"),
    Column("used_by", lambda one: one.used_by, "used by", "d"),
    Column("master_pid", lambda one: one.master_pid, "master"),
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
    out.print(table_for_people(COLUMNS, found))


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
