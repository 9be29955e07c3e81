"""Run an observation again from one step on.

What comes before the step is taken over, whatever follows is made anew beside the old: the views show the old light
curves until the new ones are committed. From `crossmatch` on, the new processes join the old graph; from any earlier
step on they are a new graph, complete by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.images import CALIBRATED, DEBIASED_FLAT, TEMPLATE, Image
from schema.observing import FLAT, LIGHT, Observation
from schema.processes import SUCCEEDED, UNFINISHED, Process, Site
from schema.queries import adopting, images
from schema.queries.publishing import NewProcess
from services.errors import ConfigurationError
from services.publisher.graph import (
    STACK_MASTER,
    Graph,
    Masters,
    Solvers,
    add_analysis,
    add_calibrations,
    add_detrending,
    add_flat,
    add_later_solvers,
    add_light_curves,
    add_master,
    add_placing,
    add_results,
    add_template,
    add_zero_points,
    wants_catalogue,
)
from services.publisher.old_graph import COMMANDS_OF, OldGraph, by_place, parameters_of
from services.publisher.publish import Publication, Publisher
from services.settings import Settings
from services.steps import COMMANDS
from services.steps.analyze import ANALYZE
from services.steps.apertures import choose_apertures, write_apertures
from services.steps.calibrate import CALIBRATE
from services.steps.calibrate_relative import CALIBRATE_RELATIVE
from services.steps.choose_reference import CHOOSE_REFERENCE
from services.steps.crossmatch import CROSSMATCH
from services.steps.detect import DETECT
from services.steps.detrend import DETREND
from services.steps.extract import EXTRACT
from services.steps.flats import CALIBRATE_FLAT, COMBINE_FLAT
from services.steps.place_frames import PLACE_FRAMES
from services.steps.solve import SOLVE
from services.steps.solve_later import SOLVE_ARCHIVE, SOLVE_INDEX
from services.steps.stack import STACK, StackParameters
from services.steps.zero_point import ZERO_POINT

# Kinds of images that `tianyu gc` may have deleted: who makes them, and the last step that opens them.
FILES = (
    (TEMPLATE, STACK.command, DETECT.command),
    (CALIBRATED, CALIBRATE.command, EXTRACT.command),
    (DEBIASED_FLAT, CALIBRATE_FLAT.command, COMBINE_FLAT.command),
)
# What must have succeeded, where that is not simply the step before: names, detrending and zero points may be missing.
NEEDED = {
    DETECT.command: STACK.command,
    SOLVE_INDEX.command: EXTRACT.command,
    SOLVE_ARCHIVE.command: EXTRACT.command,
    PLACE_FRAMES.command: EXTRACT.command,
    CROSSMATCH.command: EXTRACT.command,
    CALIBRATE_RELATIVE.command: EXTRACT.command,
    ANALYZE.command: CALIBRATE_RELATIVE.command,
    ZERO_POINT.command: CROSSMATCH.command,
}
LATER = (SOLVE_INDEX.command, SOLVE_ARCHIVE.command, PLACE_FRAMES.command)
JOINS = LATER + tuple(
    step.command for step in (CROSSMATCH, CALIBRATE_RELATIVE, DETREND, ANALYZE, ZERO_POINT)
)  # the old graph: their rows are keyed by the process


@dataclass
class Rerun(Publication):
    """What was published to run an observation again from ``step`` on."""

    step: str = ""
    source_pid: int = 0  # the graph that is run again
    taken_over: dict[int, int] = field(default_factory=dict)  # new PIDs by old ones

    def again(self) -> list[NewProcess]:
        """The processes that will run."""
        done = set(self.taken_over.values())
        return [process for process in self.processes if process.pid not in done]


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
    result = Rerun(observation_id, settings.choices)
    old = _old_graph(session, settings, observation, graph_pid, result)
    _refuse_unfinished(session, observation_id)
    result.source_pid = old.graph_pid
    result.step = step = _first_with_files(session, old, step, result)
    _require_inputs(observation, COMMANDS_OF[kind], old, step)
    publisher.say_changes(result, old.graph_pid, step if old.of(step) else None)
    if step in JOINS:
        _grow(publisher, observation, old, step, result)
    else:
        _make_anew(session, publisher, observation, old, result)
    return result


def _require_command(observation: Observation, kind: str, step: str) -> None:
    if step not in COMMANDS_OF[kind]:
        raise ConfigurationError(
            f"observation {observation.observation_id} ({kind} frames) has no step {step!r}: "
            f"it can be run again from {', '.join(COMMANDS_OF[kind])}"
        )


def _old_graph(
    session: Session, settings: Settings, observation: Observation, graph_pid: int | None, result: Rerun
) -> OldGraph:
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
    processes = adopting.lock_graph(session, graph_pid)
    site = session.get_one(Site, processes[0].site_id).name
    if site != settings.site:
        raise ConfigurationError(
            f"graph {graph_pid} was processed at site {site!r}, where its images are; this is {settings.site!r}: "
            f"set TIANYU_SITE={site}"
        )
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


def _first_with_files(session: Session, old: OldGraph, step: str, result: Rerun) -> str:
    """The step, or the one before it that makes images which it or a later one opens and which were deleted."""
    query = select(Image.kind).where(Image.graph_pid == old.graph_pid, Image.deleted_at.is_not(None)).distinct()
    deleted = set(session.scalars(query))
    for kind, maker, last_reader in FILES:
        if kind in deleted and COMMANDS.index(maker) < COMMANDS.index(step) <= COMMANDS.index(last_reader):
            result.notes.append(
                f"observation {result.observation_id}: {kind} images of graph {old.graph_pid}, which {step} or a later "
                f"step needs, were deleted by `tianyu gc`; it is run again from {maker}"
            )
            step = maker
    return step


def _require_inputs(observation: Observation, commands: Sequence[str], old: OldGraph, step: str) -> None:
    """Without one success of the step before nothing can come of it."""
    if step == commands[0]:
        return
    needed = NEEDED.get(step, commands[commands.index(step) - 1])
    # Of the stacks only the template counts: a branch of the tree may well be there without it.
    ends = [old.places[needed, None]] if needed == STACK.command else old.of(needed)
    if any(process.status == SUCCEEDED for process in ends):
        return
    error = next((f" (the first: {process.error})" for process in ends if process.error), "")
    number = observation.observation_id
    raise ConfigurationError(
        f"observation {number} cannot be run again from {step}: no {needed} of graph {old.graph_pid} "
        f"succeeded{error}; start from {needed} or an earlier step, or `tianyu retry --failed --observation {number}`"
    )


def _grow(publisher: Publisher, observation: Observation, old: OldGraph, step: str, result: Rerun) -> None:
    """Add names, relative calibrations, or what follows those that there are, to the old graph."""
    graph = publisher.graph(observation, result, grown=old.graph_pid)
    [detect] = old.of(DETECT.command)
    extracted = [process.pid for process in old.of(EXTRACT.command)]
    if step in LATER:
        _require_solve(observation, old)
        template = old.places[STACK.command, None].pid
        again = [one for one in (SOLVE_INDEX, SOLVE_ARCHIVE) if LATER.index(one.command) >= LATER.index(step)]
        solvers = add_later_solvers(graph, template, detect.pid, old.solvers, again)
        add_results(graph, detect.pid, extracted, add_placing(graph, detect.pid, solvers, extracted))
    elif step == CROSSMATCH.command:
        _require_catalogue(graph, observation)
        add_results(graph, detect.pid, extracted, Solvers(old.solvers))
    elif step == CALIBRATE_RELATIVE.command:
        add_calibrations(graph, detect.pid, extracted)
    elif step == ZERO_POINT.command:
        named = [process.pid for process in old.of(CROSSMATCH.command) if process.status == SUCCEEDED]
        add_zero_points(graph, max(named), extracted)
    else:
        if step == DETREND.command:
            _add_detrending(graph, observation, old)
        for calibration in _calibrations(old, observation.calibration_pid):
            add_analysis(graph, calibration, default=calibration == observation.calibration_pid)
    result.graph_pid = old.graph_pid
    publisher.include(graph, observation, LIGHT, result)
    publisher.insert(result)


def _require_solve(observation: Observation, old: OldGraph) -> None:
    if (SOLVE.command, None) not in old.places:
        raise ConfigurationError(
            f"graph {old.graph_pid} is older than plate solving: run observation {observation.observation_id} again "
            "from solve"
        )


def _require_catalogue(graph: Graph, observation: Observation) -> None:
    if not wants_catalogue(graph.choices):
        raise ConfigurationError(
            f"observation {observation.observation_id} cannot be matched with a catalogue: catalog is none and there "
            "is no catalog_file; set one of them in tianyu.toml"
        )


def _add_detrending(graph: Graph, observation: Observation, old: OldGraph) -> None:
    number = observation.observation_id
    if graph.choices.detrend_method == "none":
        raise ConfigurationError(
            f"observation {number} cannot be detrended: detrend_method is none; set it in tianyu.toml to "
            "sysrem, trends or tfa"
        )
    shown = observation.calibration_pid
    if shown not in {process.pid for process in old.of(CALIBRATE_RELATIVE.command)}:
        raise ConfigurationError(
            f"observation {number} cannot be detrended: the views show no relative calibration of graph "
            f"{old.graph_pid}; run it again from calibrate_relative"
        )
    add_detrending(graph, shown)


def _calibrations(old: OldGraph, shown: int | None) -> list[int]:
    """Of each method the calibration that the views show, else the newest that succeeded."""
    newest: dict[str, int] = {}
    for process in old.of(CALIBRATE_RELATIVE.command):
        method = parameters_of(process).method
        if process.status == SUCCEEDED and newest.get(method) != shown:
            newest[method] = process.pid
    return list(newest.values())


def _make_anew(session: Session, publisher: Publisher, observation: Observation, old: OldGraph, result: Rerun) -> None:
    """A new graph of the old one's frames, which takes over all that comes before the step."""
    kind = publisher.kind(observation)
    if kind == LIGHT and not old.of(CHOOSE_REFERENCE.command):
        number = observation.observation_id
        raise ConfigurationError(
            f"observation {number} is measured on another night's template: it can be run again from "
            f"{', '.join(JOINS)}, or as a whole by `tianyu publish {number} --again --template known`"
        )
    commands = COMMANDS_OF[kind]
    before = commands[: commands.index(result.step)]
    masters = old.masters if before else publisher.masters(observation, kind, result)
    graph = publisher.graph(observation, result)
    _build(graph, kind, old, masters, before)
    publisher.include(graph, observation, kind, result)
    publisher.insert(result)
    result.graph_pid = graph.graph_pid
    result.taken_over = {
        old.places[key].pid: process.pid
        for key, process in by_place(graph.processes).items()
        # Graphs of earlier versions have no `solve`: it runs now.
        if key[0] in before and key in old.places
    }
    adopting.take_over_ends(session, result.taken_over)
    image_ids = adopting.take_over_images(session, result.taken_over, graph.graph_pid)
    for process in old.of(SOLVE.command) if SOLVE.command in before else ():
        # What was found late is known from the start now.
        found = adopting.solved_by(session, old.graph_pid) or process.pid
        adopting.take_over_solution(session, found, result.taken_over[process.pid], image_ids)
    if DETECT.command in before:
        [detect] = old.of(DETECT.command)
        adopting.take_over_detection(session, detect.pid, result.taken_over[detect.pid], image_ids)
        # They are chosen anew: `extract` is what other apertures are for.
        good = [image for image in images.of_graph(session, old.graph_pid, CALIBRATED) if image.good]
        apertures = choose_apertures(result.choices, good)
        write_apertures(session, graph.graph_pid, observation.observation_id, apertures)
    if not before:
        adopting.put_on_trial(session, old.frames)


def _build(graph: Graph, kind: str, old: OldGraph, masters: Masters, before: Sequence[str]) -> None:
    if kind == FLAT:
        add_flat(graph, old.frames, masters)
    elif kind != LIGHT:
        add_master(graph, STACK_MASTER[kind], old.frames, masters.bias)
    elif STACK.command not in before:
        add_light_curves(graph, old.frames, masters, add_template)
    else:
        root = parameters_of(old.places[STACK.command, None])

        def take_template(graph: Graph, calibrated: list[int], selected: int) -> int:
            """The root alone: of the tree below it nothing is needed any more."""
            parents = tuple(calibrated) if root.leaf else root.parents
            parameters = StackParameters(parents=parents, leaf=root.leaf, root=True)
            return graph.add(STACK, parameters, required=(selected,), optional=calibrated if root.leaf else ())

        add_light_curves(graph, old.frames, masters, take_template)
