"""`tianyu retry`, `cancel`, `pause` and `resume`: what operators do to processes and queues."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema import database
from schema.observing import Observation
from schema.processes import CANCELLED, FAILED, Process, ProcessGroup, Site
from schema.queries import dependencies, operating
from schema.queries.scheduling import PIDS, chunks
from services.cli.console import friendly, note, out, start
from services.errors import ConfigurationError
from services.settings import Settings
from services.setup import open_database
from services.shown import processes

Pids = Annotated[list[int] | None, typer.Argument(help="PIDs.", metavar="PID...")]
Group = Annotated[str, typer.Argument(help="Group of consumers, as cpu or memory.")]
SiteName = Annotated[str | None, typer.Option("--site", help="Another site than the one of the settings.")]
Result = TypeVar("Result")

REASONS_SHOWN = 20
_GRAPHS = select(Process.graph_pid).where(Process.pid.in_(PIDS)).distinct()


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
    if bool(pids) == (failed or cancelled):
        raise ConfigurationError(
            "give either PIDs, or --failed or --cancelled: `tianyu retry PID`, `tianyu retry --failed`"
        )
    if observation is not None and pids:
        raise ConfigurationError("--observation goes with --failed or --cancelled: PIDs are of whatever observation")
    settings = start()

    states = [state for state, asked in ((FAILED, failed), (CANCELLED, cancelled)) if asked]

    def work(session: Session) -> tuple[list[int], list[str]]:
        _require_observation(session, observation)
        asked = pids or _standing(session, operating.pids_in(session, states, observation))
        if not asked:
            where = "any observation" if observation is None else f"observation {observation}"
            return [], [f"nothing in the newest graph of {where} is {' or '.join(states)}"]
        changed = operating.retry(session, asked, more_attempts=settings.max_attempts)
        changed += operating.hurry(session, pids or ())
        left = _left(session, asked, changed)
        lines = [reason + _because(session, pid) for pid, reason in left]
        return changed, [*lines, *_made_without(session, changed)]

    _report(*_transact(settings, work), "sent back to waiting")


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

    def work(session: Session) -> tuple[list[int], list[str]]:
        _require_observation(session, observation)
        asked = pids or operating.unfinished_pids(session, observation or 0)
        if not asked:
            return [], [f"nothing of observation {observation} is unfinished"]
        changed = operating.cancel(session, asked)
        return changed, [reason for _, reason in _left(session, asked, changed)]

    _report(*_transact(settings, work), "cancelled")


@friendly
def pause(group: Group, site: SiteName = None) -> None:
    """Let no process of a group start until `tianyu resume`; what runs is finished.

    Publishing, retrying and running again work as ever, and wait.

    Examples: `tianyu pause gpu`, `tianyu pause memory --site north`
    """
    settings = start()

    name = site or settings.site
    began, back = _transact(settings, lambda session: operating.pause(session, *_queue(session, name, group)))
    said = "is paused" if began else "was paused before"
    out.print(f"group {group} of site {name} {said}; {back} queued processes went back to waiting")


@friendly
def resume(group: Group, site: SiteName = None) -> None:
    """Let a paused group go on.

    Examples: `tianyu resume gpu`
    """
    settings = start()

    name = site or settings.site
    was_paused = _transact(settings, lambda session: operating.resume(session, *_queue(session, name, group)))
    out.print(f"group {group} of site {name} {'goes on' if was_paused else 'was not paused'}")


def _transact(settings: Settings, work: Callable[[Session], Result]) -> Result:
    return database.transact(database.session_factory(open_database(settings)), work)


def _require_observation(session: Session, observation: int | None) -> None:
    if observation is not None and session.get(Observation, observation) is None:
        raise ConfigurationError(
            f"there is no observation {observation}: nothing was changed; `tianyu status` lists them"
        )


def _queue(session: Session, site: str, group: str) -> tuple[int, int]:
    """Ids of a site and a group that are registered."""

    sites = dict(session.execute(select(Site.name, Site.site_id)).all())
    groups = dict(session.execute(select(ProcessGroup.name, ProcessGroup.group_id)).all())
    for kind, name, known in (("site", site, sites), ("group", group, groups)):
        if name not in known:
            raise ConfigurationError(f"there is no {kind} {name!r}: known are {', '.join(sorted(known)) or 'none'}")
    return sites[site], groups[group]


def _left(session: Session, asked: Sequence[int], changed: Sequence[int]) -> list[tuple[int, str]]:
    """Processes that were asked for and are as they were, the first of them, and in which state.

    Raises:
        ConfigurationError: some do not exist; nothing is changed.
    """

    left = sorted(set(asked) - set(changed))
    states = operating.lock(session, left)
    if unknown := [str(pid) for pid in left if pid not in states]:
        more = f" and {len(unknown) - REASONS_SHOWN} more" if len(unknown) > REASONS_SHOWN else ""
        raise ConfigurationError(
            f"there is no process {', '.join(unknown[:REASONS_SHOWN])}{more}: nothing was changed; "
            "`tianyu status` names PIDs"
        )
    return [(pid, f"process {pid} is {states[pid]}") for pid in left[:REASONS_SHOWN]]


def _because(session: Session, pid: int) -> str:
    required = operating.missing_requirement(session, pid)
    return "" if required is None else f" and requires {required}, which did not succeed: retry that"


def _standing(session: Session, pids: list[int]) -> list[int]:
    """Those of these processes in whose place no later one stands."""
    from services.engine.publisher.replaced import replaced

    graphs = {graph for part in chunks(pids) for graph in session.scalars(_GRAPHS, {"pids": part})}
    gone = {process.pid for process in replaced(session, graphs)}
    return [pid for pid in pids if pid not in gone]


def _made_without(session: Session, revived: Sequence[int]) -> list[str]:
    """What keeps its result though it went on without what is tried again, and the command that makes it."""
    return [
        f"observation {number}: {count} results were made without these, and stay as they are: when `tianyu status "
        f"{number} --wait` says that these have ended, `tianyu publish {number}` makes those again"
        for number, count in dependencies.made_without(session, revived).items()
    ]


def _report(changed: Sequence[int], left: Sequence[str], verb: str) -> None:
    for line in left:
        note(line)
    out.print(f"{processes(len(changed))} {verb}")
    if not changed:
        raise typer.Exit(1)
