"""`tianyu retry` and `tianyu cancel`: what operators do to processes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.console import friendly, out, start
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Pids = Annotated[list[int] | None, typer.Argument(help="PIDs.", metavar="PID...")]


@friendly
def retry(
    pids: Pids = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    observation: Annotated[int | None, typer.Option(help="With --failed: of this observation alone.")] = None,
) -> None:
    """Send failed processes, and all that was skipped behind them, back to waiting. Safe while consumers run.

    Examples: `tianyu retry 1795238400000123456`, `tianyu retry --failed --observation 3`
    """
    if bool(pids) == failed:
        raise ConfigurationError("give either PIDs or --failed: `tianyu retry PID`, `tianyu retry --failed`")
    settings = start()
    from schema.processes import FAILED
    from schema.queries.operating import retry as retry_processes

    _change(
        lambda session: retry_processes(
            session, pids or _pids(session, [FAILED], observation), more_attempts=settings.max_attempts
        ),
        settings,
        "sent back to waiting",
    )


@friendly
def cancel(
    pids: Pids = None,
    observation: Annotated[int | None, typer.Option(help="All of this observation that is not finished.")] = None,
) -> None:
    """Cancel processes: queued work never starts, running work commits nothing. Safe while consumers run.

    Examples: `tianyu cancel 1795238400000123456`, `tianyu cancel --observation 3`
    """
    if bool(pids) == (observation is not None):
        raise ConfigurationError(
            "give either PIDs or --observation: `tianyu cancel PID`, `tianyu cancel --observation 3`"
        )
    settings = start()
    from schema.processes import UNFINISHED
    from schema.queries.operating import cancel as cancel_processes

    _change(
        lambda session: cancel_processes(session, pids or _pids(session, UNFINISHED, observation)),
        settings,
        "cancelled",
    )


def _pids(session: "Session", states: Any, observation: int | None) -> list[int]:
    from sqlalchemy import select

    from schema.processes import Process

    query = select(Process.pid).where(Process.status.in_(states))
    if observation is not None:
        query = query.where(Process.observation_id == observation)
    return list(session.scalars(query))


def _change(work: "Callable[[Session], list[int]]", settings: Any, verb: str) -> None:
    from schema import database
    from services.setup import open_database

    changed = database.transact(database.session_factory(open_database(settings)), work)
    out.print(f"{len(changed)} processes {verb}")
    if not changed:
        raise typer.Exit(1)
