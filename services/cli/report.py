"""`tianyu report`."""

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from schema import database
from services.cli.console import friendly, out, start
from services.cli.overview import published_by
from services.report import report as make_report
from services.setup import open_database


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


@friendly
def report(
    observation_id: Annotated[int, typer.Argument(help="Observation to report on.")],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Time, CPU, memory and bytes by command, and the throughput.

    Example: `tianyu report 4`
    """
    settings = start()

    with database.reading_factory(open_database(settings))() as session:
        result = make_report(session, observation_id)
    if as_json:
        out.print_json(data=result.to_json())
        return
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"observation {observation_id}, graph {result.graph_pid}",
        pad_edge=False,
    )
    table.add_column("command", no_wrap=True)
    for heading in ("calls", "wall s", "s/call", "CPU s", "CPU %", "peak MB", "read MB", "write MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in (*result.rows, result.total):
        if row is result.total:
            table.add_section()
        table.add_row(
            row.command,
            str(row.calls),
            _text(row.seconds, ".2f"),
            _text(row.mean_seconds, ".3f"),
            _text(row.cpu_seconds, ".2f"),
            _text(row.cpu_percent, ".0f"),
            _text(row.peak_mb, ".0f"),
            _text(row.read_mb, ".0f"),
            _text(row.write_mb, ".0f"),
        )
    out.print(table)
    out.print(
        f"{result.finished_processes} processes of {result.frames} frames in {result.elapsed_s:.1f} s by "
        f"{result.workers} workers: {_text(result.frames_per_s, '.2f')} frames/s, "
        f"{_text(result.processes_per_s, '.1f')} processes/s, overhead {result.overhead_s:.1f} worker seconds",
        soft_wrap=True,
    )
    out.print(Text(published_by(result.published_by)), soft_wrap=True)
