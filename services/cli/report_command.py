"""`tianyu report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from services.cli.console import JsonOption, friendly, out, reading, start
from services.cli.listing import Column, table_for_people

if TYPE_CHECKING:
    from services.operating.report import CommandCost

# What machines get besides is `Report.to_json`.
COLUMNS: tuple[Column[CommandCost], ...] = (
    Column("command", lambda one: one.command, "command"),
    Column("calls", lambda one: one.calls, "calls", "d"),
    Column("seconds", lambda one: one.seconds, "wall s", ".2f"),
    Column("mean_seconds", lambda one: one.mean_seconds, "s/call", ".3f"),
    Column("cpu_seconds", lambda one: one.cpu_seconds, "CPU s", ".2f"),
    Column("cpu_percent", lambda one: one.cpu_percent, "CPU %", ".0f"),
    Column("max_rss_bytes", lambda one: one.peak_mb, "peak MB", ".0f"),
    Column("read_bytes", lambda one: one.read_mb, "read MB", ".0f"),
    Column("write_bytes", lambda one: one.write_mb, "write MB", ".0f"),
)


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


@friendly
def report(
    observation_id: Annotated[int, typer.Argument(help="Observation to report on.")],
    as_json: JsonOption = False,
) -> None:
    """Time, CPU, memory and bytes by command, and the throughput.

    Examples: `tianyu report 4`, `tianyu report 4 --json`
    """
    from services.cli.overview_tables import published_by
    from services.operating.report import report as make_report

    settings = start()
    with reading(settings) as session:
        result = make_report(session, observation_id)
    if as_json:
        out.print_json(data=result.to_json())
        return
    title = f"observation {observation_id}, graph {result.graph_pid}"
    table = table_for_people(COLUMNS, (*result.rows, result.total), title=title)
    table.rows[-2].end_section = True  # above the sum
    out.print(table)
    out.print(
        f"{result.finished_processes} processes of {result.frames} frames in {result.elapsed_s:.1f} s by "
        f"{result.workers} workers: {_text(result.frames_per_s, '.2f')} frames/s, "
        f"{_text(result.processes_per_s, '.1f')} processes/s, overhead {result.overhead_s:.1f} worker seconds",
        soft_wrap=True,
    )
    for journey in result.journeys:
        out.print(Text(journey.says()), soft_wrap=True)
    out.print(Text(published_by(result.published_by)), soft_wrap=True)
