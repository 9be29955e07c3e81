"""`tianyu retry`, `cancel`, `pause` and `resume`: what operators do to processes and queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import friendly, note, out, start
from services.errors import ConfigurationError
from services.shown import processes

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Pids = Annotated[list[int] | None, typer.Argument(help="PIDs.", metavar="PID...")]
Group = Annotated[str, typer.Argument(help="Group of consumers, as cpu or memory.")]
SiteName = Annotated[str | None, typer.Option("--site", help="Another site than the one of the settings.")]


@friendly
def retry(
    pids: Pids = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed, of each newest graph.")] = False,
    cancelled: Annotated[
        bool, typer.Option("--cancelled", help="All that was cancelled, of each newest graph.")
    ] = False,
    observation: Annotated[
        int | None, typer.Option(help="With --failed or --cancelled: of this observation and its masters alone.")
    ] = None,
) -> None:
    """Send failed or cancelled processes, and all that failed or was skipped behind them, back to waiting.

    Safe while consumers run. What requires a process without success that is not sent back itself is left as it is.
    A process that waits for its next attempt, named by its PID, is tried at once.
    What went on without them keeps its result: the command that makes it again is printed.

    Examples: `tianyu retry 1795238400000123456`, `tianyu retry --failed --observation 3`
    """
    from schema.processes import CANCELLED, FAILED
    from schema.queries import operating
    from services.cli import control_changes as changes

    if bool(pids) == (failed or cancelled):
        raise ConfigurationError(
            "give either PIDs, or --failed or --cancelled: `tianyu retry PID`, `tianyu retry --failed`"
        )
    if observation is not None and pids:
        raise ConfigurationError("--observation goes with --failed or --cancelled: PIDs are of whatever observation")
    settings = start()

    states = [state for state, asked in ((FAILED, failed), (CANCELLED, cancelled)) if asked]

    def work(session: Session) -> tuple[list[int], list[str]]:
        changes.require_observation(session, observation)
        asked = pids or changes.standing(session, operating.pids_in(session, states, observation))
        if not asked:
            where = "any observation" if observation is None else f"observation {observation}"
            return [], [f"nothing in the newest graph of {where} is {' or '.join(states)}"]
        changed = operating.retry(session, asked, more_attempts=settings.max_attempts)
        changed += operating.hurry(session, pids or ())
        left = changes.left(session, asked, changed)
        lines = [reason + changes.because(session, pid) for pid, reason in left]
        return changed, [*lines, *changes.made_without(session, changed)]

    _report(*changes.transact(settings, work), "sent back to waiting")


@friendly
def cancel(
    pids: Pids = None,
    observation: Annotated[int | None, typer.Option(help="All of this observation that is not finished.")] = None,
) -> None:
    """Cancel processes: queued work never starts, running work commits nothing. Safe while consumers run.

    Examples: `tianyu cancel 1795238400000123456`, `tianyu cancel --observation 3`
    """
    from schema.queries import operating
    from services.cli import control_changes as changes

    if bool(pids) == (observation is not None):
        raise ConfigurationError(
            "give either PIDs or --observation: `tianyu cancel PID`, `tianyu cancel --observation 3`"
        )
    settings = start()

    def work(session: Session) -> tuple[list[int], list[str]]:
        changes.require_observation(session, observation)
        asked = pids or operating.unfinished_pids(session, observation or 0)
        if not asked:
            return [], [f"nothing of observation {observation} is unfinished"]
        changed = operating.cancel(session, asked)
        return changed, [reason for _, reason in changes.left(session, asked, changed)]

    _report(*changes.transact(settings, work), "cancelled")


@friendly
def pause(group: Group, site: SiteName = None) -> None:
    """Let no process of a group start until `tianyu resume`; what runs is finished.

    Publishing, retrying and running again work as ever, and wait.

    Examples: `tianyu pause gpu`, `tianyu pause memory --site north`
    """
    from schema.queries import operating
    from services.cli import control_changes as changes

    settings = start()

    name = site or settings.site
    began, back = changes.transact(
        settings, lambda session: operating.pause(session, *changes.queue(session, name, group))
    )
    said = "is paused" if began else "was paused before"
    out.print(f"group {group} of site {name} {said}; {back} queued processes went back to waiting")


@friendly
def resume(group: Group, site: SiteName = None) -> None:
    """Let a paused group go on.

    Examples: `tianyu resume gpu`
    """
    from schema.queries import operating
    from services.cli import control_changes as changes

    settings = start()

    name = site or settings.site
    was_paused = changes.transact(
        settings, lambda session: operating.resume(session, *changes.queue(session, name, group))
    )
    out.print(f"group {group} of site {name} {'goes on' if was_paused else 'was not paused'}")


def _report(changed: Sequence[int], left: Sequence[str], verb: str) -> None:
    for line in left:
        note(line)
    out.print(f"{processes(len(changed))} {verb}")
    if not changed:
        raise typer.Exit(1)
