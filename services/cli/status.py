"""`tianyu status`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, friendly, note, out, start

if TYPE_CHECKING:
    from services.status import ObservationStatus, Overview, Stuck

POLL_S = 0.5
STUCK_LOOK_S = 10.0  # between looks for what is stuck, while waiting


@friendly
def status(
    observation_id: Annotated[int | None, typer.Argument(help="One observation; else all.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until nothing can move any more.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Live progress bars by step, until nothing can move.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What was expected, what is done, what failed and why, what is stuck and what to do, and who works on what.

    With --wait or --watch the exit code is 0 only if all light curves are there.

    Examples: `tianyu status`, `tianyu status 4 --watch`, `tianyu status --wait --json`
    """
    from schema import database
    from services.cli.bars import follow
    from services.cli.overview import show
    from services.setup import open_database
    from services.status import finished, overview
    from services.status import status as look_up

    settings = start()

    reading = database.reading_factory(open_database(settings))

    def look() -> list[ObservationStatus]:
        with reading() as session:
            return look_up(session, observation_id)

    def look_closer() -> Overview:
        with reading() as session:
            return overview(session, observation_id)

    def done() -> bool:
        with reading() as session:
            return finished(session, observation_id)

    found = look_closer()
    pause = _Patience(look_closer)
    if watch:
        follow(look, done, pause)
    while wait and not watch and not done():
        pause()
    if wait or watch:
        found = look_closer()
    if as_json:
        out.print_json(data=found.to_json())
    else:
        show(found, one=observation_id is not None)
    published = [one for one in found.observations if one.kind == "light" and one.graph_pid is not None]
    if (wait or watch) and not (published and all(one.light_curves for one in published)):
        raise typer.Exit(1)


class _Patience:
    """Waits a moment at each call; says once what is stuck, lest somebody wait for what cannot come."""

    def __init__(self, look: Callable[[], Overview]) -> None:
        self._look = look
        self._next_look = time.monotonic()
        self._before: set[tuple[str, str]] = set()
        self._said: set[tuple[str, str]] = set()

    def __call__(self) -> None:
        time.sleep(POLL_S)
        if time.monotonic() >= self._next_look:
            self.tell(self._look().stuck)
            self._next_look = time.monotonic() + STUCK_LOOK_S

    def tell(self, found: tuple[Stuck, ...]) -> None:
        """Say what was stuck at the last look too: much that is stuck for a moment is freed by the manager."""
        now = {(one.why, one.remedy) for one in found}
        for why, remedy in sorted((now & self._before) - self._said):
            note(f"stuck: {why}; {remedy}")
            self._said.add((why, remedy))
        self._before = now
