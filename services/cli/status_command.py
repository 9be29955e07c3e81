"""`tianyu status`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from services.cli.console import EXIT_FAILED, JsonOption, friendly, note, out, show_error, start
from services.errors import TransientError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from services.operating.status import Overview

Result = TypeVar("Result")
EXIT_CANCELLED, EXIT_UNREACHABLE, EXIT_TIMEOUT = 3, 4, 5
AWAY_MOST_S = 300.0  # that a database may not answer while somebody waits
POLL_S = 0.5


@friendly
def status(
    observation_id: Annotated[int | None, typer.Argument(help="One observation; else all.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until nothing can move any more.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Live progress bars by step, until nothing can move.")] = False,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="With --wait or --watch: no longer.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What was expected, what is done, what failed and why, what is stuck and what to do, and who works on what.

    With --wait or --watch the exit code says how the newest graphs ended: 0 all have light curves, 1 one has none, 3
    one was cancelled and none failed, 4 the database was not reached for minutes, 5 the time was over. A database that
    is away for a moment is waited for.

    Examples: `tianyu status`, `tianyu status 4 --watch`, `tianyu status --wait --timeout 3600 --json`
    """
    from schema import database
    from services.cli.bars import follow
    from services.cli.overview_tables import show
    from services.cli.patience import Patience, TooLateError
    from services.operating.status import finished, overview
    from services.operating.status import status as look_up
    from services.setup import open_database

    settings = start()
    waits = wait or watch
    try:
        reading = database.reading_factory(open_database(settings))
        ask = _Asking(reading, None if not waits else AWAY_MOST_S, timeout_s)
        pause = Patience(lambda: ask(lambda session: overview(session, observation_id, settings)), timeout_s)

        def done() -> bool:
            return ask(lambda session: finished(session, observation_id))

        in_time = True
        try:
            if watch:
                follow(lambda: ask(lambda session: look_up(session, observation_id)), done, pause)
            while wait and not watch and not done():
                pause()
        except TooLateError:
            in_time = False
        found = ask(lambda session: overview(session, observation_id, settings))
    except TransientError as error:
        show_error(str(error))
        raise typer.Exit(EXIT_UNREACHABLE if waits else EXIT_FAILED) from error
    if as_json:
        out.print_json(data=found.to_json())
    else:
        show(found, one=observation_id is not None)
    if waits and (code := _exit_code(found, in_time=in_time)):
        raise typer.Exit(code)


def _exit_code(found: Overview, *, in_time: bool) -> int:
    from schema.processes import CANCELLED, SUCCEEDED

    if not in_time:
        return EXIT_TIMEOUT
    ends = {one.end for one in found.observations if one.kind == "light" and one.graph_pid is not None}
    if ends == {SUCCEEDED}:
        return 0
    return EXIT_CANCELLED if ends and ends <= {SUCCEEDED, CANCELLED} else EXIT_FAILED


class _Asking:
    """Asks the database; one that is away is asked again for a while, where somebody waits."""

    def __init__(self, reading: sessionmaker[Session], patience_s: float | None, timeout_s: float | None) -> None:
        self._reading = reading
        self._patience_s = patience_s if timeout_s is None or patience_s is None else min(patience_s, timeout_s)

    def __call__(self, question: Callable[[Session], Result]) -> Result:
        from sqlalchemy.exc import DBAPIError

        away_since: float | None = None
        while True:
            try:
                with self._reading() as session:
                    return question(session)
            except DBAPIError as error:
                if self._patience_s is None:
                    raise
                now = time.monotonic()
                if away_since is None:
                    away_since = now
                    note(f"the database does not answer, asking again: {error.orig}")
                if now - away_since >= self._patience_s:
                    raise TransientError(
                        f"the database has not answered for {now - away_since:.0f} s: {error.orig}; "
                        "`tianyu doctor` looks closer"
                    ) from error
                time.sleep(POLL_S)
