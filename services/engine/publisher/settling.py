"""What is done about a graph that was laid out: nothing, a part of it, or all, as far as it was made before."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation
from schema.processes import Process
from schema.queries import adopting
from schema.queries.adopting import Keyed
from schema.queries.choices import of_graph
from schema.queries.publishing import NewProcess
from services.engine.publisher.changed_choices import changes
from services.engine.publisher.former import Former, LaidOut, is_failure, is_unfinished, locked
from services.engine.publisher.graph import Graph
from services.engine.publisher.keys import told_of
from services.engine.publisher.stopped import ends_of_graphs
from services.engine.publisher.templates import Template, frames_of, template_was_deleted
from services.shown import processes
from services.steps import ORDER, STEPS
from services.steps.calibrate_relative import CALIBRATE_RELATIVE
from services.steps.detect import DETECT
from services.steps.detrend import DETREND
from services.steps.shared.told import replaced


@dataclass(frozen=True)
class Settled:
    """What is to be published of a graph.

    Attributes:
        graph_pid: of the graph that has, or will have, the results.
        processes: to be published, in order of PID.
        stands: PIDs of laid-out processes that are not published: of those that stand for them.
        taken_over: of those that are published: PIDs of the old graph's processes, and of the new ones.
        former: the graph in which what is not published is, or from which is taken over.
        says: what there is to say where nothing is published.
        template: that was there before frames came which are measured on it.
    """

    graph_pid: int
    processes: list[NewProcess]
    stands: dict[int, int] = field(default_factory=dict)
    taken_over: dict[int, int] = field(default_factory=dict)
    former: Former | None = None
    says: str = ""
    template: Template | None = None


def settle(
    session: Session, observation: Observation, graph: Graph, laid: LaidOut, kind: str, earlier: Sequence[Former]
) -> Settled | None:
    """Find what was made before of a graph whose keys are known; ``laid``: its processes; ``earlier``: see `formers`.

    The newest that has all is enough; else what only joins a graph, and what measures frames that came later, joins the
    newest that has all else; else a new graph takes over from the one that has most, of these the newest. None where
    that would have to make the template again on which later frames are to be measured.
    """
    for former in earlier:
        if former.has_all(laid):
            return _there(observation, graph, former, kind)
    for former in earlier:
        stands = _joined(session, graph, laid, former)
        if stands is not None:
            return joining(graph, former, stands)
    settled = _anew(session, graph, laid, earlier)
    keeps_template = set(graph.made[DETECT.command]) <= set(settled.taken_over.values())
    return settled if keeps_template or not graph.later else None


def _joined(session: Session, graph: Graph, laid: LaidOut, former: Former) -> dict[int, int] | None:
    """What there is of a graph in an earlier one that all else can join."""
    new = graph.later_frames - set(frames_of(session, former.graph_pid))
    grown_by = {pid for pid, frame in graph.later.items() if frame is None or frame in new}
    grown_by |= _for_the_first_time(session, graph, laid, former)
    stands = former.joined_by(laid, grown_by, keeps_failures=bool(new))
    if new and template_was_deleted(session, former.graph_pid):
        return None
    return stands


def _for_the_first_time(session: Session, graph: Graph, laid: LaidOut, former: Former) -> set[int]:
    """PIDs of steps that an earlier graph has not come to: it was asked for up to a step before these.

    Steps up to that one which are missing were removed by `tianyu gc --rows`.
    """
    end = ends_of_graphs(session, [former.graph_pid]).get(former.graph_pid)
    if end is None:
        return set()
    there = adopting.commands_of(session, former.graph_pid)
    behind = {step.command for step in ORDER[ORDER.index(end) + 1 :]} - there
    first = [process for process in laid.processes if process.command in behind]
    steps = [STEPS[command] for command in {process.command for process in first}]
    lost = {kind for step in steps for kind in (*step.opens, *step.uses)} & adopting.deleted_kinds(
        session, former.graph_pid
    )
    passed_on = [step for step in map(STEPS.__getitem__, there) if step.passes_on]
    told_otherwise = any(
        changes(of_graph(session, former.graph_pid, step.command), graph.choices, step.passes_on) for step in passed_on
    )
    return set() if lost or told_otherwise else {process.pid for process in first}


def _there(observation: Observation, graph: Graph, former: Former, kind: str) -> Settled:
    found = {process.pid: one for process in graph.processes if (one := former.of(process))}
    if kind == LIGHT and not any(map(is_unfinished, found.values())) and not _is_shown(observation, graph, former):
        # The views show what other choices gave: what they shall show is calibrated again, from the same fluxes.
        renewed = {step.command for step in ORDER[ORDER.index(CALIBRATE_RELATIVE) :]}
        stands = former.joined_by(LaidOut([one for one in graph.processes if one.command not in renewed]))
        if stands is not None:
            return joining(graph, former, stands)
    return Settled(
        former.graph_pid,
        [],
        {pid: one.pid for pid, one in found.items()},
        former=former,
        says=_state(observation.observation_id, former, found.values()),
    )


def _is_shown(observation: Observation, graph: Graph, former: Former) -> bool:
    """Whether the views show the calibration that is asked for; one that failed cannot be shown."""
    shown = next((p for p in graph.processes if p.command == CALIBRATE_RELATIVE.command and _is_default(p)), None)
    calibrated = None if shown is None else former.of(shown)
    if calibrated is None or is_failure(calibrated):
        return True
    is_detrended = any(process.command == DETREND.command for process in graph.processes)
    return observation.calibration_pid == calibrated.pid and is_detrended == (observation.detrend_pid is not None)


def _is_default(process: NewProcess) -> bool:
    return CALIBRATE_RELATIVE.parameters.model_validate_json(process.parameters).default


def _state(observation_id: int, former: Former, found: Collection[Keyed]) -> str:
    """What there is of a graph of which nothing is missing, and what to do."""
    name = f"observation {observation_id}: nothing to compute, graph {former.graph_pid}"
    unfinished, failed = sum(map(is_unfinished, found)), sum(map(is_failure, found))
    if unfinished:
        return (
            f"{name} of the same frames and choices is at work, {processes(unfinished)} not finished: "
            f"`tianyu status {observation_id} --wait`"
        )
    if failed:
        return (
            f"{name} of the same frames and choices has {processes(failed)} without success: `tianyu status "
            f"{observation_id}` has the reasons, `tianyu retry --failed --observation {observation_id}` tries them "
            "again, --again makes everything anew"
        )
    return f"{name} has the results of these frames and choices; --again makes everything anew on purpose"


def joining(graph: Graph, former: Former, stands: dict[int, int]) -> Settled:
    """Add what is missing to a graph that there is."""

    def pid_of(pid: int) -> int:
        return stands.get(pid, pid)

    missing = [
        process._replace(graph_pid=former.graph_pid, **_told(process, pid_of))
        for process in graph.processes
        if process.pid not in stands
    ]
    return Settled(former.graph_pid, missing, stands, former=former)


def _told(process: NewProcess, pid_of: Callable[[int], int]) -> dict[str, Any]:
    """Fields of a process that needs others than it was laid out with."""
    step = STEPS[process.command]
    parameters = step.parameters(**replaced(step, told_of(process), pid_of))
    return {
        "parameters": parameters.model_dump_json(exclude_defaults=True),
        "required": tuple(map(pid_of, process.required)),
        "optional": tuple(map(pid_of, process.optional)),
        "told": None,
        "needs": None,
    }


def _anew(session: Session, graph: Graph, laid: LaidOut, earlier: Sequence[Former]) -> Settled:
    """A graph of its own, which takes over what it can."""

    def taken_over_by(former: Former) -> dict[int, int]:
        return former.taken_over_by(laid, adopting.deleted_kinds(session, former.graph_pid))

    def saves(former: Former) -> int:
        taken = taken_over_by(former)
        return sum(process.pid in taken for process in laid.without_branches(taken))

    best = max(earlier, key=saves) if len(earlier) > 1 else next(iter(earlier), None)  # the newest of several
    best = None if best is None else locked(session, best)
    taken = {} if best is None else taken_over_by(best)
    if best is None or not taken:
        return Settled(graph.graph_pid, graph.processes)
    whole = laid.without_branches(taken)
    processes = [_rooted(session, one, taken[one.pid], laid) if one.pid in taken else one for one in whole]
    left = {process.pid for process in processes}
    first = processes[0].pid
    return Settled(
        first,
        processes if first == graph.graph_pid else [one._replace(graph_pid=first) for one in processes],
        taken_over={old_pid: pid for pid, old_pid in taken.items() if pid in left},
        former=best,
    )


def _rooted(session: Session, process: NewProcess, old_pid: int, laid: LaidOut) -> NewProcess:
    """A root that is taken over is told the branches that it was made from, and waits for none."""
    branches = laid.branches_of(process.pid)
    if not branches:
        return process
    optional = tuple(pid for pid in process.optional if pid not in branches)
    parameters = session.get_one(Process, old_pid).parameters
    return process._replace(parameters=parameters, optional=optional, told=None, needs=None)
