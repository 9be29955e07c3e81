"""`tianyu logs`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from services.cli.console import JsonOption, friendly, out, reading, start

if TYPE_CHECKING:
    from services.operating.logs import Attempt, Parent, ProcessLog

PARENTS_SHOWN = 10


@friendly
def logs(
    pid: Annotated[int, typer.Argument(help="PID of the process.", metavar="PID")],
    as_json: JsonOption = False,
) -> None:
    """One process: its state, what it waits for, and each attempt with worker, cost, error and traceback.

    Examples: `tianyu logs 1795238400000123456`, `tianyu logs 1795238400000123456 --json`
    """
    from services.operating.logs import read_log

    settings = start()

    with reading(settings) as session:
        found = read_log(session, pid)
    if as_json:
        out.print_json(data=found.to_json())
        return
    for line in _head(found):
        _say(line)
    for attempt in found.attempts:
        _say("")
        for line in _describe(attempt):
            _say(line)


def _say(line: str) -> None:
    out.print(Text(line), soft_wrap=True)


def _head(log: ProcessLog) -> list[str]:
    lines = [
        f"process {log.pid}: {log.command}, {log.status}",
        f"  parameters   {log.parameters}",
        f"  graph        {log.graph_pid}"
        + ("" if log.observation_id is None else f" of observation {log.observation_id}"),
        f"  queue        group {log.group} of site {log.site}, priority {log.priority}",
        f"  created      {log.created_at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if log.finished_at is not None:
        lines.append(f"  finished     {log.finished_at:%Y-%m-%d %H:%M:%S} UTC")
    if log.origin_pid is not None:
        lines.append(f"  taken over   from process {log.origin_pid}: `tianyu logs {log.origin_pid}` has its attempts")
    if log.waits_for:
        lines.append(f"  waits for    {_parents(log.waits_for)}")
    if log.not_before is not None and log.status == "waiting":
        lines.append(f"  next attempt not before {log.not_before:%Y-%m-%d %H:%M:%S} UTC")
    if log.paused_since is not None:
        lines.append(
            f"  paused       since {log.paused_since:%Y-%m-%d %H:%M:%S} UTC: `tianyu resume {log.group}` lets it go on"
        )
    if log.error is not None:
        lines.append(f"  error        {log.error_class + ': ' if log.error_class else ''}{log.error}")
    lines += [f"  brought      {journey.says()}" for journey in log.journeys]
    lines.append(f"  attempts     {log.attempt}, at most {log.max_attempts}")
    return lines


def _parents(parents: tuple[Parent, ...]) -> str:
    if len(parents) <= PARENTS_SHOWN:
        return ", ".join(f"{one.command} {one.pid} ({one.status})" for one in parents)
    counts = Counter((one.command, one.status) for one in parents)
    return ", ".join(f"{count} {command} ({status})" for (command, status), count in counts.items())


def _describe(attempt: Attempt) -> list[str]:
    end = "not ended" if attempt.finished_at is None else f"{attempt.outcome} at {attempt.finished_at:%H:%M:%S.%f}"
    lines = [
        f"attempt {attempt.attempt} by {attempt.worker} on {attempt.host}, version {attempt.version}",
        f"  began        {attempt.started_at:%Y-%m-%d %H:%M:%S.%f} UTC, {end}",
    ]
    costs = [
        text.format(value)
        for text, value in (
            ("{:.3f} s", attempt.seconds),
            ("{:.3f} s CPU", attempt.cpu_seconds),
            ("peak memory {:.1f} MB", _mega(attempt.max_rss_bytes)),
            ("{:.1f} MB read", _mega(attempt.read_bytes)),
            ("{:.1f} MB written", _mega(attempt.write_bytes)),
        )
        if value is not None
    ]
    if costs:
        lines.append(f"  cost         {', '.join(costs)}")
    if attempt.error is not None:
        lines.append(f"  error        {attempt.error_class}: {attempt.error}")
    if attempt.traceback:
        lines += [f"    {line}" for line in attempt.traceback.rstrip().splitlines()]
    return lines


def _mega(number: int | None) -> float | None:
    return None if number is None else number / 1e6
