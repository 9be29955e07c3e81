"""What `tianyu retry`, `cancel`, `pause` and `resume` ask and change."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema import database
from schema.observing import Observation
from schema.processes import Process, ProcessGroup, Site
from schema.queries import dependencies, operating
from schema.queries.scheduling import PIDS, chunks
from services.errors import ConfigurationError
from services.own_site import no_observation
from services.settings import Settings
from services.setup import open_database

Result = TypeVar("Result")

REASONS_SHOWN = 20
_GRAPHS = select(Process.graph_pid).where(Process.pid.in_(PIDS)).distinct()


def transact(settings: Settings, work: Callable[[Session], Result]) -> Result:
    return database.transact(database.session_factory(open_database(settings)), work)


def require_observation(session: Session, observation: int | None) -> None:
    if observation is not None and session.get(Observation, observation) is None:
        raise no_observation(observation, "nothing was changed")


def queue(session: Session, site: str, group: str) -> tuple[int, int]:
    """Ids of a site and a group that are registered."""

    sites = dict(session.execute(select(Site.name, Site.site_id)).all())
    groups = dict(session.execute(select(ProcessGroup.name, ProcessGroup.group_id)).all())
    for kind, name, known in (("site", site, sites), ("group", group, groups)):
        if name not in known:
            raise ConfigurationError(f"there is no {kind} {name!r}: known are {', '.join(sorted(known)) or 'none'}")
    return sites[site], groups[group]


def left(session: Session, asked: Sequence[int], changed: Sequence[int]) -> list[tuple[int, str]]:
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


def because(session: Session, pid: int) -> str:
    required = operating.missing_requirement(session, pid)
    return "" if required is None else f" and requires {required}, which did not succeed: retry that"


def standing(session: Session, pids: list[int]) -> list[int]:
    """Those of these processes in whose place no later one stands."""
    from services.engine.publisher.replaced import replaced

    graphs = {graph for part in chunks(pids) for graph in session.scalars(_GRAPHS, {"pids": part})}
    gone = {process.pid for process in replaced(session, graphs)}
    return [pid for pid in pids if pid not in gone]


def made_without(session: Session, revived: Sequence[int]) -> list[str]:
    """What keeps its result though it went on without what is tried again, and the command that makes it."""
    return [
        f"observation {number}: {count} results were made without these, and stay as they are: when `tianyu status "
        f"{number} --wait` says that these have ended, `tianyu publish {number}` makes those again"
        for number, count in dependencies.made_without(session, revived).items()
    ]
