"""`tianyu report`."""

from typing import Annotated

import typer
from rich.text import Text

from services.cli.console import JsonOption, friendly, out, reading, start, table_of


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


@friendly
def report(
    observation_id: Annotated[int, typer.Argument(help="Observation to report on.")],
    as_json: JsonOption = False,
) -> None:
    """Time, CPU, memory and bytes by command, and the throughput.

    Example: `tianyu report 4`
    """
    from services.cli.overview_tables import published_by
    from services.operating.report import report as make_report

    settings = start()
    with reading(settings) as session:
        result = make_report(session, observation_id)
    if as_json:
        out.print_json(data=result.to_json())
        return
    numbers = ("calls", "wall s", "s/call", "CPU s", "CPU %", "peak MB", "read MB", "write MB")
    title = f"observation {observation_id}, graph {result.graph_pid}"
    table = table_of("command", *numbers, right=numbers, title=title)
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
