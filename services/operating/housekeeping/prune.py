"""`tianyu gc --rows`: remove measurements that nobody is shown any more, and the processes that made them.

What was replaced: of a graph all from its fluxes on, when another one is shown and nothing of it is younger than the
shown calibration; and in a graph that stays, calibrations and what follows them, where newer ones of the same kind
succeeded. Of both the newest ``keep_graphs`` stay, and what is younger than ``keep_rows_days``. Images, alignments,
templates, sources and their names are nobody's measurement: all of them stay.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from schema import database
from schema.forced import ForcedFlux
from schema.observing import Observation
from schema.photometry import Flux, RelativeFlux
from schema.processes import FINISHED, SUCCEEDED, Process
from schema.queries import pruning
from schema.queries.pruning import OF_GRAPH, Left
from services.engine.publisher.old_graph import Place, parameters_of, places
from services.own_site import no_observation
from services.steps import ORDER, STEPS
from services.steps.append_relative import APPEND_RELATIVE
from services.steps.force_fluxes import FORCE_FLUXES
from services.steps.force_places import FORCE_PLACES
from services.steps.force_terms import FORCE_TERMS

What = Literal["graph", "calibrations"]


@dataclass(frozen=True)
class Policy:
    """What stays of what was replaced: so many graphs and calibrations, and all that is younger.

    ``since``: all that ended before stays too, and whole graphs.
    """

    keep: int
    days: float
    since: datetime | None = None


@dataclass(frozen=True)
class Pruned:
    """Of one graph: all measurements (``graph``), or replaced calibrations; ``rows`` are at most so many.

    ``processes`` is 0 where an earlier call was interrupted, and this one goes on.
    """

    observation_id: int | None
    graph_pid: int
    what: What
    processes: int
    rows: int


def _measuring() -> frozenset[str]:
    """Commands that make fluxes, and those that join a graph behind them: no other graph takes over what they made."""
    found = {step.command for step in ORDER if Flux in step.tables}
    for step in ORDER:  # behind what it needs
        if step.joins and any(found.intersection(need.commands) for need in step.needs):
            found.add(step.command)
    return frozenset(found | FORCING)


FORCING = {FORCE_PLACES.command, FORCE_FLUXES.command}  # which join too, behind what finds the sources
MEASURING = _measuring()


def prune(
    engine: Engine,
    policy: Policy,
    observation_id: int | None = None,
    *,
    dry_run: bool = True,
    on_rows: Callable[[int], None] | None = None,
) -> list[Pruned]:
    """Remove what was replaced, of one observation or of all; ``on_rows`` is told how many rows went.

    Raises:
        ConfigurationError: there is no such observation.
    """
    reading = database.reading_factory(engine)
    with reading() as session:
        if observation_id is None:
            wanted = pruning.observations(session)
        elif session.get(Observation, observation_id) is not None:
            wanted = [observation_id]
        else:
            raise no_observation(observation_id)
        done = [_interrupted(session, one) for one in pruning.left_over(session, observation_id)]
    for number in wanted:
        if dry_run:
            with reading() as session:
                done += [found.told for found in _replaced(session, number, policy)]
        else:
            done += disown_replaced(engine, policy, number)
    for deleted in removals(engine, observation_id) if not dry_run else ():
        if on_rows is not None:
            on_rows(deleted)
    return done


def disown_replaced(engine: Engine, policy: Policy, observation_id: int) -> list[Pruned]:
    """Decide while nobody publishes, and take the processes away: their rows are nobody's from then on."""
    return database.transact(
        database.session_factory(engine), partial(_disown, observation_id=observation_id, policy=policy)
    )


def removals(engine: Engine, observation_id: int | None = None) -> Iterator[int]:
    """Remove the rows that are nobody's, of one observation or of all, some at a time; yields how many went each time.

    Whoever stops in between leaves the rest to the next call.
    """
    reading, sessions = database.reading_factory(engine), database.session_factory(engine)
    with reading() as session:
        left = pruning.left_over(session, observation_id)
    for one in left:
        with reading() as session:
            statements = pruning.batches(session, one)
        for statement in statements:
            yield database.transact(sessions, partial(pruning.run, statement=statement))
        database.transact(sessions, partial(pruning.forget, left=one))


@dataclass(frozen=True)
class _Replaced:
    told: Pruned
    pids: list[int]
    left: list[Left]


def _disown(session: Session, observation_id: int, policy: Policy) -> list[Pruned]:
    pruning.hold(session, observation_id)
    found = _replaced(session, observation_id, policy)
    return [one.told for one in found if pruning.disown(session, one.pids, one.left)]


def _interrupted(session: Session, left: Left) -> Pruned:
    images, sources, apertures = pruning.size_of(session, left.graph_pid)
    what: What = "graph" if left.pid == OF_GRAPH else "calibrations"
    return Pruned(None, left.graph_pid, what, 0, images * sources * apertures)


def _replaced(session: Session, observation_id: int, policy: Policy) -> list[_Replaced]:
    observation = session.get_one(Observation, observation_id)
    if observation.calibration_pid is None:
        return []
    graphs: dict[int, list[Process]] = defaultdict(list)
    for process in pruning.processes(session, observation_id):
        graphs[process.graph_pid].append(process)
    at_rest = [pid for pid, graph in graphs.items() if all(one.status in FINISHED and one.propagated for one in graph)]
    latest = {pid: max(process.pid for process in graphs[pid]) for pid in at_rest}
    superseded = [
        pid
        for pid in at_rest
        if pid not in (observation.graph_pid, max(graphs)) and latest[pid] < observation.calibration_pid
    ]
    superseded.sort(key=lambda pid: latest[pid], reverse=True)
    before = pruning.now(session) - timedelta(days=policy.days)
    found: list[_Replaced] = []
    for pid in at_rest:
        if pid in superseded:
            whole = pid in superseded[policy.keep :] and policy.since is None
            chosen = [process for process in graphs[pid] if process.command in MEASURING] if whole else []
        else:
            whole = False
            older = _older_calibrations(session, observation, graphs[pid], policy.keep)
            chosen = _with_calibrations([one for one in graphs[pid] if one.pid in older and _is_of(one, policy)])
        young = any(process.finished_at is None or process.finished_at > before for process in chosen)
        if chosen and not young:
            found.append(_told(session, observation_id, pid, chosen, whole))
    return found


def _with_calibrations(chosen: Sequence[Process]) -> list[Process]:
    """Without what appended frames to a calibration that stays."""
    pids = {process.pid for process in chosen}
    appending = APPEND_RELATIVE.command
    return [one for one in chosen if one.command != appending or parameters_of(one).calibration in pids]


def _is_of(process: Process, policy: Policy) -> bool:
    return policy.since is None or (process.finished_at is not None and process.finished_at >= policy.since)


def _told(session: Session, observation_id: int, graph_pid: int, chosen: Sequence[Process], whole: bool) -> _Replaced:
    images, sources, apertures = pruning.size_of(session, graph_pid)
    made = [one for one in chosen if one.status == SUCCEEDED and one.command != APPEND_RELATIVE.command]
    relative = sum(RelativeFlux in STEPS[process.command].tables for process in made)
    fluxes = sum(Flux in STEPS[process.command].tables for process in made)
    rows = (fluxes + relative * images) * sources * apertures
    left = [Left(graph_pid, OF_GRAPH)] if whole else []
    # Fluxes at places go with their list, and need no look for each frame.
    left += [Left(graph_pid, one.pid) for one in made if not {Flux, ForcedFlux} & {*STEPS[one.command].tables}]
    what: What = "graph" if whole else "calibrations"
    told = Pruned(observation_id, graph_pid, what, len(chosen), rows)
    return _Replaced(told, [process.pid for process in chosen], left)


def _older_calibrations(session: Session, observation: Observation, graph: Sequence[Process], keep: int) -> set[int]:
    """What joined a graph and is older than the newest that succeeded of its kind, and the ``keep`` before it."""
    by_place: dict[tuple[Place, int | None], list[Process]] = defaultdict(list)
    appended: dict[int, int] = {}  # what stays, and goes, with the calibration by whose reference stars it went
    for place, process in places(graph):
        if process.command == APPEND_RELATIVE.command:
            appended[process.pid] = parameters_of(process).calibration
        elif process.command == FORCE_TERMS.command:
            # Of each list of places its newest: none is an older one's version.
            by_place[place, parameters_of(process).placed].append(process)
        elif process.command in MEASURING - FORCING and Flux not in STEPS[process.command].tables:
            by_place[place, None].append(process)
    joined = {process.pid for of_place in by_place.values() for process in of_place} | appended.keys()
    shown = {
        observation.calibration_pid, observation.analysis_pid, observation.detrend_pid, observation.zero_point_pid
    }  # fmt: skip
    kept = joined & {pid for pid in shown if pid is not None}
    for of_place in by_place.values():
        succeeded = sorted(process.pid for process in of_place if process.status == SUCCEEDED)
        oldest = succeeded[-1 - keep :][:1]
        kept |= {process.pid for process in of_place if not oldest or process.pid >= oldest[0]}
    while new := (pruning.parents(session, sorted(kept)) & joined) - kept:  # they stand on these
        kept |= new
    kept |= {pid for pid, calibration in appended.items() if calibration in kept}
    going = sorted(joined - kept)
    return set(going) - pruning.depended_on(session, going)
