"""`tianyu status`."""

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from services.cli.console import friendly, note, out, start

if TYPE_CHECKING:
    from services.status import ObservationStatus

POLL_S = 0.5
FAILURES_SHOWN = 20


@friendly
def status(
    observation_id: Annotated[int | None, typer.Argument(help="One observation; else all.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until nothing can move any more.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Live progress bars by step, until nothing can move.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """What was expected, what is done, what failed and why.

    With --wait or --watch the exit code is 0 only if all light curves are there.

    Examples: `tianyu status`, `tianyu status 4 --watch`, `tianyu status --wait --json`
    """
    settings = start()
    from schema import database
    from services.cli.bars import follow
    from services.setup import open_database
    from services.status import ObservationStatus, finished
    from services.status import status as look_up

    reading = database.reading_factory(open_database(settings))

    def look() -> list[ObservationStatus]:
        with reading() as session:
            return look_up(session, observation_id)

    def done() -> bool:
        with reading() as session:
            return finished(session, observation_id)

    found = look()
    if watch:
        follow(look, done, lambda: time.sleep(POLL_S))
    while wait and not watch and not done():
        time.sleep(POLL_S)
    if wait or watch:
        found = look()
    if as_json:
        out.print_json(data=[one.to_json() for one in found])
    else:
        _print(found)
    published = [one for one in found if one.kind == "light" and one.graph_pid is not None]
    if (wait or watch) and not (published and all(one.light_curves for one in published)):
        raise typer.Exit(1)


def _print(found: "list[ObservationStatus]") -> None:
    if not found:
        note("there are no observations yet: `tianyu ingest RAW_DIR` registers frames")
        return
    table = Table("id", "kind", "target", "filter", "night", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("frames", "rejected", "done"):
        table.add_column(heading, justify="right")
    table.add_column("state", no_wrap=True)
    for one in found:
        total = sum(command.total for command in one.commands)
        progress = f"{one.count('succeeded')}/{total}" if total else ""
        table.add_row(
            str(one.observation_id),
            one.kind,
            Text(one.target),
            Text(one.filter),
            str(one.night),
            str(one.frames),
            str(one.frames_rejected),
            progress,
            _state(one),
        )
    out.print(table)
    for one in found:
        for run in one.running:
            note(f"running: {run.command} {run.pid} (attempt {run.attempt}) by {run.worker} since {run.since} UTC")
        for failure in one.failures[:FAILURES_SHOWN]:
            out.print(Text(f"failed: {failure.command} {failure.pid} after attempt {failure.attempt}: {failure.error}"))
        if len(one.failures) > FAILURES_SHOWN:
            note(
                f"… and {len(one.failures) - FAILURES_SHOWN} more failures of observation {one.observation_id} (--json)"
            )


def _state(one: "ObservationStatus") -> Text:
    if one.graph_pid is None:
        return Text("not published", "dim")
    if not one.finished:
        counts = ((state, one.count(state)) for state in ("waiting", "queued", "running"))
        return Text(", ".join(f"{count} {state}" for state, count in counts if count), "yellow")
    if one.kind == "light":
        return Text("light curves made", "green") if one.light_curves else Text("no light curves", "bold red")
    return (
        Text("done", "green") if not one.count("failed", "skipped", "cancelled") else Text("done, with failures", "red")
    )
