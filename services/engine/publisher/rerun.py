"""Run an observation again from one step on.

What comes before the step is taken over, whatever follows is made anew beside the old: the views show the old light
curves until the new ones are committed. A step whose rows are keyed by its process joins the old graph, with all that
follow; from any earlier step on the new processes are a new graph, complete by itself.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation
from schema.processes import SUCCEEDED, UNFINISHED, Process
from schema.queries import adopting, frames
from schema.queries.publishing import NewProcess
from services.choices import Choices
from services.engine.publisher.cycles import no_search_for_cycles
from services.engine.publisher.graph import Graph, methods_of
from services.engine.publisher.keys import needed
from services.engine.publisher.old_graph import OldGraph, by_place, parameters_of
from services.engine.publisher.publication import Masters, Publication
from services.engine.publisher.publish import Publisher
from services.engine.publisher.taking_over import take_over
from services.engine.publisher.target_choices import choices_of
from services.engine.publisher.templates import Template, add_template
from services.errors import ConfigurationError
from services.settings import Settings
from services.steps import ORDER, STEPS, asked_for, from_on, steps_of
from services.steps.detect import DETECT
from services.steps.shared.needs import KNOWN, OWN, Each, Need, Wait
from services.steps.shared.step import AnyStep, Method, Parameters
from services.steps.solve import SOLVE
from services.steps.stack import STACK


@dataclass
class Rerun(Publication):
    """What was published to run an observation again from ``step`` on."""

    step: str = ""
    source_pid: int = 0  # the graph that is run again


@no_search_for_cycles()
def rerun(
    session: Session,
    settings: Settings,
    observation_id: int,
    step: str,
    *,
    priority: int = 0,
    graph_pid: int | None = None,
) -> Rerun:
    """Publish ``step`` and all that follows it once more, in the caller's transaction.

    The graph that is run again is the one that the views show, or before there are light curves the newest.

    Raises:
        ConfigurationError: there is nothing that could be run again from there; the message says why.
    """
    publisher = Publisher(session, settings, priority)
    observation = publisher.observation(observation_id)
    kind = publisher.kind(observation)
    _require_command(observation, kind, step)
    result = Rerun(observation_id, choices_of(session, observation, settings))
    old = _old_graph(session, observation, graph_pid, result)
    _refuse_unfinished(session, observation_id)
    result.source_pid = old.graph_pid
    first = _first_with_files(session, old, STEPS[step], result)
    result.step = first.command
    again = _wanted(from_on(first), result.choices)
    if first not in again and (first.unwanted or not again):
        reason = first.unwanted or "the settings do not ask for it"
        raise ConfigurationError(f"observation {observation_id} cannot be run again from {first.command}: {reason}")
    _require_inputs(observation, again, old)
    publisher.say_changes(result, old.graph_pid, first.command if old.of(first.command) else None)
    if first.joins:
        _grow(publisher, observation, old, again, result)
    else:
        _make_anew(session, publisher, observation, old, result)
    return result


def _require_command(observation: Observation, kind: str, command: str) -> None:
    commands = [step.command for step in steps_of(kind)]
    if command not in commands:
        raise ConfigurationError(
            f"observation {observation.observation_id} ({kind} frames) has no step {command!r}: "
            f"it can be run again from {', '.join(commands)}"
        )


def _old_graph(session: Session, observation: Observation, graph_pid: int | None, result: Rerun) -> OldGraph:
    number = observation.observation_id
    known = list(session.scalars(select(Process.graph_pid).where(Process.observation_id == number).distinct()))
    if not known:
        raise ConfigurationError(f"observation {number} was never published: `tianyu publish {number}` does that first")
    if graph_pid is None:
        shown = observation.graph_pid if observation.calibration_pid is not None else None
        graph_pid = shown or max(known)
        if graph_pid != max(known):
            result.notes.append(
                f"observation {number}: graph {graph_pid} is run again, which the views show; there is a newer one, "
                f"{max(known)} (--graph)"
            )
    elif graph_pid not in known:
        raise ConfigurationError(
            f"observation {number} has no graph {graph_pid}: its graphs are {', '.join(map(str, sorted(known)))}"
        )
    processes = adopting.of_graph(session, graph_pid)
    return OldGraph(graph_pid, processes, by_place(processes))


def _refuse_unfinished(session: Session, observation_id: int) -> None:
    unfinished = session.execute(
        select(Process.graph_pid, func.count())
        .where(Process.observation_id == observation_id, Process.status.in_(UNFINISHED))
        .group_by(Process.graph_pid)
        .order_by(Process.graph_pid)
    ).all()
    if unfinished:
        found = ", ".join(f"{count} of graph {graph_pid}" for graph_pid, count in unfinished)
        raise ConfigurationError(
            f"observation {observation_id} has processes that are not finished ({found}): wait for them (`tianyu "
            f"status {observation_id} --wait`), or cancel them first (`tianyu cancel --observation {observation_id}`)"
        )


def _first_with_files(session: Session, old: OldGraph, step: AnyStep, result: Rerun) -> AnyStep:
    """The step, or the one before it that makes images which it or a later one opens and which were deleted."""
    deleted = adopting.deleted_kinds(session, old.graph_pid)
    for maker in reversed(steps_of(step.kind)):
        for kind in deleted.intersection((*maker.partial, *maker.makes)):
            if ORDER.index(maker) < ORDER.index(step) and any(kind in (*one.opens, *one.uses) for one in from_on(step)):
                result.notes.append(
                    f"observation {result.observation_id}: {kind} images of graph {old.graph_pid}, which "
                    f"{step.command} or a later step needs, were deleted by `tianyu gc`; it is run again from "
                    f"{maker.command}"
                )
                step = maker
    return step


def _wanted(steps: Sequence[AnyStep], choices: Choices) -> list[AnyStep]:
    """Those that the choices ask for, without those that require one that they do not ask for."""
    wanted = asked_for(steps, choices)
    for step in list(wanted):
        needs = {need.commands for need in step.needs if need.wait is Wait.REQUIRED}
        if any((other.command,) in needs for other in steps if other not in wanted):
            wanted.remove(step)
    return wanted


def _require_inputs(observation: Observation, again: Sequence[AnyStep], old: OldGraph) -> None:
    """Without a success of what is needed nothing can come of it; of what is there for each frame, one will do."""
    needed = {
        command
        for step in again
        for need in step.needs_on(old.template)
        for command in need.commands
        if need.wait in (Wait.REQUIRED, Wait.SOME)
    }
    for step in reversed(steps_of(again[0].kind)):
        ends = old.ends(step.command)
        if step in again or step.command not in needed or any(process.status == SUCCEEDED for process in ends):
            continue
        error = next((f" (the first: {process.error})" for process in ends if process.error), "")
        number = observation.observation_id
        raise ConfigurationError(
            f"observation {number} cannot be run again from {again[0].command}: no {step.command} of graph "
            f"{old.graph_pid} succeeded{error}; start from {step.command} or an earlier step, or `tianyu retry "
            f"--failed --observation {number}`"
        )


def _grow(
    publisher: Publisher, observation: Observation, old: OldGraph, again: Sequence[AnyStep], result: Rerun
) -> None:
    """Add the steps to the old graph, on what it has of all others."""
    graph = publisher.graph(observation, result, old.masters, grown=old.graph_pid, anew=again)
    methods = methods_of(result.choices)
    for step, need, command in _answered(again):
        if STEPS[command].each.item == "method":
            found = old.methods(command, observation.calibration_pid)
            methods = list(found)
            graph.own.update({(command, method): pid for method, pid in found.items()})
        else:
            graph.made[command] = old.newest(command, succeeded=need.wait is Wait.REQUIRED)
            graph.own.update({(command, frame): pid for frame, pid in old.by_frame(command).items()})
            _require_told(observation, old, step, need, graph.made[command])
    _require_shown(observation, again[0], methods, old)
    graph.lay_out(again, old.frames, methods)
    _give_keys(publisher, observation, old, graph, old.masters, again, result)
    result.graph_pid = old.graph_pid
    publisher.include(graph, observation, LIGHT, result)
    publisher.insert(result)


def _answered(again: Sequence[AnyStep]) -> Iterator[tuple[AnyStep, Need, str]]:
    """Needs that the old graph answers, and the command that does. What would only be waited for has ended."""
    for step in again:
        for need in step.needs_on(OWN):
            for other in (STEPS[command] for command in need.commands):
                to_come = other in again and not other.knows_former
                waits_only = need.wait is Wait.OPTIONAL and not need.is_told and other.each.item is None
                if other.kind == step.kind and not to_come and not waits_only:
                    yield step, need, other.command


def _require_told(observation: Observation, old: OldGraph, step: AnyStep, need: Need, pids: Sequence[int]) -> None:
    if not pids and need.into is not None and step.parameters.model_fields[need.into].is_required():
        [command] = need.commands
        raise ConfigurationError(
            f"graph {old.graph_pid} has no {command}: run observation {observation.observation_id} again from {command}"
        )


def _require_shown(observation: Observation, step: AnyStep, methods: Sequence[Method], old: OldGraph) -> None:
    if step.each is Each.SHOWN and not any(method.shown for method in methods):
        raise ConfigurationError(
            f"observation {observation.observation_id} cannot be run again from {step.command}: the views show no "
            f"relative calibration of graph {old.graph_pid}; run it again from calibrate_relative"
        )


def _give_keys(
    publisher: Publisher,
    observation: Observation,
    old: OldGraph,
    graph: Graph,
    masters: Masters,
    again: Sequence[AnyStep],
    result: Rerun,
    taken_over: Collection[int] = (),
) -> None:
    """Keys as `publish` gives them to the same processes, behind those of the old graph as it was made.

    A rerun waits for less than a whole graph does, and leaves out the branches of trees. ``taken_over``: PIDs of what
    the graph takes over.
    """
    whole = publisher.graph(observation, result, masters, anew=again)
    _lay_out(whole, publisher.kind(observation), old, methods_of(result.choices))
    everything: list[Process | NewProcess] = [*old.processes, *graph.processes]
    of_all = by_place(everything)
    run = {process.pid for process in graph.processes}.difference(taken_over)
    to_run = {place for place, process in of_all.items() if process.pid in run}
    places = {process.pid: place for place, process in by_place(whole.processes).items()}
    made = {pid: old.key_of(place) for pid, place in places.items() if place not in to_run}
    publisher.give_keys(whole, made)
    keys = {places[process.pid]: process.result_key for process in whole.processes if process.pid in places}
    own = {process.pid: keys.get(place) for place, process in of_all.items()}
    graph.processes = [process._replace(result_key=own.get(process.pid)) for process in graph.processes]


def _lay_out(
    graph: Graph, kind: str, old: OldGraph, methods: Sequence[Method], roots: Mapping[str, Parameters] | None = None
) -> None:
    """The whole old graph once more: its template is of the same frames."""
    if old.template == KNOWN:
        pids = {command: process.pid for (command, _), process in old.places.items()}
        stacked, solved, detected = pids[STACK.command], pids.get(SOLVE.command), pids[DETECT.command]
        add_template(graph, Template(old.graph_pid, graph.observation_id, (), stacked, solved, detected))
    graph.lay_out_on(steps_of(kind), old.made_of, old.frames, methods, roots)


def _make_anew(session: Session, publisher: Publisher, observation: Observation, old: OldGraph, result: Rerun) -> None:
    """A new graph of the old one's frames, which takes over all that comes before the step."""
    kind = publisher.kind(observation)
    steps, number = steps_of(kind), observation.observation_id
    is_known = old.template == KNOWN
    if is_known and STEPS[result.step].template == OWN:
        raise ConfigurationError(
            f"observation {number} is measured on another night's template, of which {result.step} is no part to run "
            f"again: `tianyu publish {number} --new-template` makes its own"
        )
    if (later := len(old.frames) - len(old.made_of)) and not is_known:
        result.notes.append(
            f"observation {number}: the template is of the same {len(old.made_of)} frames as that of graph "
            f"{old.graph_pid}, {later} came later; `tianyu publish {number} --new-template` makes one of all frames"
        )
    before = {step.command for step in steps[: steps.index(STEPS[result.step])]}
    from_start = not before
    masters = publisher.masters(observation, kind, result) if from_start else old.masters
    before |= {step.command for step in steps if is_known and step.template == OWN}
    again = [step for step in steps if step.command not in before]
    graph = publisher.graph(observation, result, masters, anew=again)
    trees = [step.command for step in steps if step.each is Each.TREE and step.command in before]
    roots = {command: parameters_of(old.places[command, None]) for command in trees}
    _lay_out(graph, kind, old, methods_of(result.choices), roots)
    taken_over = {
        process.pid: old.places[key].pid
        for key, process in by_place(graph.processes).items()
        # Graphs of earlier versions have no `solve`: it runs now.
        if key[0] in before and key in old.places
    }
    own = {process.pid for process in graph.processes}
    for process in graph.processes:
        if process.pid in graph.later and not needed(process) & own <= taken_over.keys():
            taken_over.pop(process.pid, None)  # a later frame is aligned with the template, which comes behind `align`
    _give_keys(publisher, observation, old, graph, masters, again, result, taken_over)
    publisher.include(graph, observation, kind, result)
    old_pids = {old_pid: pid for pid, old_pid in taken_over.items()}
    publisher.insert(result, old_pids)
    result.graph_pid = graph.graph_pid
    result.taken_over |= old_pids
    take_over(session, graph, old.graph_pid, old_pids)
    if from_start:
        frames.accept(session, old.frames, graph.graph_pid)
