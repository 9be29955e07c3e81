"""The graph of an observation: which processes there are, and which needs which. Pure: ids in, processes out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.relative import PickLimits
from pipeline.tree import fan_in
from schema.queries.publishing import NewProcess, new_pids
from services.choices import Choices
from services.deployment import Deployment
from services.steps.align import ALIGN, AlignParameters
from services.steps.analyze import ANALYZE, AnalyzeParameters
from services.steps.base import AnyStep, Parameters
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.calibrate_relative import CALIBRATE_RELATIVE, CalibrateRelativeParameters
from services.steps.choose_reference import CHOOSE_REFERENCE, ChooseReferenceParameters
from services.steps.crossmatch import CROSSMATCH, CrossmatchParameters
from services.steps.detect import DETECT, DetectParameters
from services.steps.detrend import DETREND, DetrendParameters
from services.steps.extract import EXTRACT, ExtractParameters
from services.steps.flats import CALIBRATE_FLAT, COMBINE_FLAT, CalibrateFlatParameters, CombineFlatParameters
from services.steps.named_stars import NamedStars
from services.steps.place_frames import PLACE_FRAMES, PlaceFramesParameters
from services.steps.select import SELECT, SelectParameters
from services.steps.solve import SOLVE, SolveParameters
from services.steps.solve_later import SOLVE_ARCHIVE, SOLVE_INDEX, SolveLaterParameters
from services.steps.stack import STACK, StackParameters
from services.steps.stack_master import STACK_BIAS, STACK_DARK, StackMasterParameters
from services.steps.zero_point import ZERO_POINT, ZeroPointParameters


@dataclass(frozen=True)
class Masters:
    """PIDs of the processes that make an observation's masters; None where there are no such frames."""

    bias: int | None = None
    dark: int | None = None
    flat: int | None = None

    def pids(self) -> tuple[int, ...]:
        """Those that there are."""
        return tuple(pid for pid in (self.bias, self.dark, self.flat) if pid is not None)


@dataclass
class Graph:
    """Processes of one observation while they are put together; the first one's PID names the graph.

    With ``grown``, the PID of a graph that was published before, they are added to that one.
    """

    observation_id: int
    deployment: Deployment
    choices: Choices
    priority: int = 0
    pids: Iterator[int] = field(default_factory=new_pids)
    processes: list[NewProcess] = field(default_factory=list)
    grown: int | None = None

    @property
    def graph_pid(self) -> int:
        """PID that names the graph."""
        return self.grown or self.processes[0].pid

    def add(
        self, step: AnyStep, parameters: Parameters, *, required: Sequence[int] = (), optional: Sequence[int] = ()
    ) -> int:
        """Add a process; returns its PID."""
        pid = next(self.pids)
        self.processes.append(
            NewProcess(
                pid=pid,
                graph_pid=self.graph_pid if self.grown or self.processes else pid,
                command=step.command,
                parameters=parameters.model_dump_json(exclude_defaults=True),
                group=self.deployment.group_of(step.command),
                observation_id=self.observation_id,
                required=tuple(required),
                optional=tuple(optional),
                priority=self.priority,
                max_attempts=self.deployment.max_attempts,
            )
        )
        return pid

    def add_tree(self, leaves: Sequence[int], node: Callable[[tuple[int, ...], bool, bool], int]) -> int:
        """Add a tree over ``leaves`` by ``node(children, is_leaf, is_root) -> pid``; returns the root's PID."""
        levels = fan_in(len(leaves), self.choices.fan_out)
        below = list(leaves)
        for depth, level in enumerate(levels):
            is_root = depth == len(levels) - 1
            below = [node(tuple(below[i] for i in group), depth == 0, is_root) for group in level]
        return below[0]


def add_master(graph: Graph, step: AnyStep, frames: Sequence[int], bias: int | None = None) -> int:
    """Add the tree of `stack_bias` or `stack_dark`; returns the PID of the master."""
    kind: Literal["bias", "dark"] = "bias" if step is STACK_BIAS else "dark"

    def node(children: tuple[int, ...], is_leaf: bool, is_root: bool) -> int:
        subtract = bias if is_root else None
        parameters = StackMasterParameters(
            kind=kind,
            frames=children if is_leaf else (),
            parents=() if is_leaf else children,
            bias=subtract,
            root=is_root,
        )
        optional = [*(() if is_leaf else children), *([subtract] if subtract else [])]
        return graph.add(step, parameters, optional=optional)

    return graph.add_tree(frames, node)


def add_flat(graph: Graph, frames: Sequence[int], masters: Masters) -> int:
    """Add `calibrate_flat` for each flat and `combine_flat`; returns the latter's PID."""
    flats = [
        graph.add(
            CALIBRATE_FLAT,
            CalibrateFlatParameters(frame=frame, bias=masters.bias, dark=masters.dark),
            optional=masters.pids(),
        )
        for frame in frames
    ]
    return graph.add(COMBINE_FLAT, CombineFlatParameters(flats=tuple(flats)), optional=flats)


def add_template(graph: Graph, calibrated: Sequence[int], selected: int) -> int:
    """Add the tree of `stack`; returns the PID of the one that makes the template."""

    def node(children: tuple[int, ...], is_leaf: bool, is_root: bool) -> int:
        parameters = StackParameters(parents=children, leaf=is_leaf, root=is_root)
        return graph.add(STACK, parameters, required=(selected,), optional=children)

    return graph.add_tree(calibrated, node)


def wants_catalogue(choices: Choices) -> bool:
    """Whether sources are matched with a catalogue."""
    return choices.catalog != "none" or choices.catalog_file is not None


@dataclass(frozen=True)
class Solvers:
    """PIDs of the processes that solve a template, in the order in which they try; ``placed``: of `place_frames`."""

    pids: tuple[int, ...]
    placed: int | None = None


def asks_archive(choices: Choices) -> bool:
    """Whether stars may come over the network."""
    return choices.catalog == "gaia" and choices.catalog_file is None


LATER = (SOLVE_INDEX, SOLVE_ARCHIVE)


def add_later_solvers(
    graph: Graph, template: int, detected: int, tried: Sequence[int], steps: Sequence[AnyStep] = LATER
) -> tuple[int, ...]:
    """Add the searches that measuring does not wait for; returns the PIDs of all solvers in their order.

    ``tried``: PIDs of those that sought before, first the `solve` that `extract` goes by.
    """
    pids = list(tried)
    for step in steps:
        if step is SOLVE_ARCHIVE and not asks_archive(graph.choices):
            continue
        parameters = SolveLaterParameters(template=template, before=tuple(pids))
        pids.append(graph.add(step, parameters, required=(template, detected), optional=tuple(pids)))
    return tuple(pids)


def add_placing(graph: Graph, detected: int, pids: Sequence[int], extracted: Sequence[int]) -> Solvers:
    """Add what brings late coordinates to the frames."""
    parameters = PlaceFramesParameters(solved=pids[0], later=tuple(pids[1:]))
    placed = graph.add(PLACE_FRAMES, parameters, required=(detected,), optional=(*pids[1:], *extracted))
    return Solvers(tuple(pids), placed)


def add_crossmatch(graph: Graph, detected: int, solvers: Solvers) -> int | None:
    """Add `crossmatch`, unless no catalogue is chosen; returns its PID."""
    if not wants_catalogue(graph.choices):
        return None
    parameters = CrossmatchParameters(detected=detected, solvers=solvers.pids)
    # When one of them is tried again, so are the names, after it.
    return graph.add(CROSSMATCH, parameters, required=(detected,), optional=solvers.pids)


def add_zero_points(graph: Graph, crossmatch: int | None, extracted: Sequence[int]) -> None:
    """Add `zero_point` where there is a `crossmatch`."""
    if crossmatch is not None:
        parameters = ZeroPointParameters(crossmatch=crossmatch)
        graph.add(ZERO_POINT, parameters, required=(crossmatch,), optional=extracted)


def add_results(
    graph: Graph, detected: int, extracted: Sequence[int], solvers: Solvers, selected: Sequence[int] = ()
) -> None:
    """Add what follows `extract`: names, relative light curves and magnitudes. ``selected``: a `select` that is not
    behind ``extracted``.

    A catalogue that does not answer costs the night its names and magnitudes, not its light curves.
    """
    crossmatch = add_crossmatch(graph, detected, solvers)
    placed = () if solvers.placed is None else (solvers.placed,)
    named = () if crossmatch is None else (crossmatch,)
    # Airmass and times of frames may come late: what follows sees the same whenever they came.
    add_calibrations(graph, detected, extracted, (*named, *placed), selected)
    add_zero_points(graph, crossmatch, (*extracted, *placed, *selected))


def add_calibrations(
    graph: Graph, detected: int, extracted: Sequence[int], named: Sequence[int] = (), selected: Sequence[int] = ()
) -> None:
    """Add `calibrate_relative` and `analyze` by each method, and `detrend` of the first, which the views show.

    ``named`` is the `crossmatch` whose variables are no reference stars, and what brings late coordinates.
    """
    optional = (*extracted, *named)
    for number, method in enumerate(graph.choices.relative_methods):
        default = number == 0
        parameters = CalibrateRelativeParameters(method=method, default=default)
        if method == "manual":
            stars, limits = named_stars(graph.choices), pick_limits(graph.choices)
            parameters = CalibrateRelativeParameters(method=method, default=default, stars=stars, limits=limits)
        calibration = graph.add(CALIBRATE_RELATIVE, parameters, required=(detected, *selected), optional=optional)
        if default:
            add_detrending(graph, calibration)
        add_analysis(graph, calibration, default)


def named_stars(choices: Choices) -> NamedStars:
    """The stars that the operator named."""
    return NamedStars(
        targets=choices.manual_targets,
        references=choices.manual_references,
        checks=choices.manual_checks,
        match_px=choices.manual_match_px,
        match_arcsec=choices.manual_match_arcsec,
    )


def pick_limits(choices: Choices) -> PickLimits:
    """What stars that nobody named must keep to."""
    return PickLimits(
        error_max=choices.pick_error_max,
        missing_max=choices.pick_missing_max,
        references=choices.pick_references,
        scatter_max=choices.pick_scatter_max,
        range_max=choices.pick_range_max,
        target_scatter_min=choices.pick_target_scatter_min,
        target_radius=choices.pick_target_radius,
    )


def add_detrending(graph: Graph, calibration: int) -> None:
    """Add `detrend` of one relative calibration, unless none is chosen."""
    method = graph.choices.detrend_method
    if method == "none":
        return
    # A target's own light curve has no say in what is taken off it.
    stars = named_stars(graph.choices).model_copy(update={"references": (), "checks": ()})
    parameters = DetrendParameters(calibration=calibration, method=method, stars=stars)
    graph.add(DETREND, parameters, required=(calibration,))


def add_analysis(graph: Graph, calibration: int, default: bool) -> None:
    """Add `analyze` of one relative calibration."""
    graph.add(ANALYZE, AnalyzeParameters(calibration=calibration, default=default), required=(calibration,))


def add_light_curves(
    graph: Graph, frames: Sequence[int], masters: Masters, stack: Callable[[Graph, list[int], int], int] = add_template
) -> None:
    """Add everything from `calibrate` to `analyze`; ``stack`` adds what makes the template and returns its PID.

    Masters are optional: a night whose flats are all unusable still gives light curves, and says so.
    """
    calibrated = [add_calibrate(graph, frame, masters) for frame in frames]
    reference = graph.add(CHOOSE_REFERENCE, ChooseReferenceParameters(), optional=calibrated)
    aligned = [
        graph.add(ALIGN, AlignParameters(calibrated=pid, reference=reference), required=(pid, reference))
        for pid in calibrated
    ]
    selected = graph.add(SELECT, SelectParameters(), optional=aligned)
    template = stack(graph, calibrated, selected)
    solved = graph.add(SOLVE, SolveParameters(template=template), required=(template,))
    parameters = DetectParameters(template=template, solved=solved)
    detected = graph.add(DETECT, parameters, required=(template,), optional=(solved,))
    # With PIDs before those of the frames they begin first: a long search ends while the others are measured.
    solvers = add_later_solvers(graph, template, detected, (solved,))
    extracted = [
        add_extraction(graph, image, alignment, detected, solved)
        for image, alignment in zip(calibrated, aligned, strict=True)
    ]
    add_results(graph, detected, extracted, add_placing(graph, detected, solvers, extracted))


def add_extraction(graph: Graph, image: int, alignment: int, detected: int, solved: int | None) -> int:
    """Add `extract` of one frame; returns its PID."""
    parameters = ExtractParameters(calibrated=image, detected=detected, solved=solved)
    return graph.add(EXTRACT, parameters, required=(image, alignment, detected))


def add_measured_frames(
    graph: Graph, frames: Sequence[int], masters: Masters, detected: int, solved: int | None
) -> None:
    """Add everything from `calibrate` to `analyze` for frames of a known template: each is measured for itself.

    What needs the whole night comes behind: the selection of frames, and the light curves relative to each other.
    """
    aligned, extracted = [], []
    for frame in frames:
        calibrated = add_calibrate(graph, frame, masters)
        # Alignment waits for the frame alone: the template's stars are known.
        alignment = graph.add(ALIGN, AlignParameters(calibrated=calibrated, detected=detected), required=(calibrated,))
        aligned.append(alignment)
        extracted.append(add_extraction(graph, calibrated, alignment, detected, solved))
    selected = graph.add(SELECT, SelectParameters(), optional=aligned)
    solvers = Solvers(() if solved is None else (solved,))
    add_results(graph, detected, extracted, solvers, (selected,))


def add_calibrate(graph: Graph, frame: int, masters: Masters) -> int:
    """Add `calibrate` of one frame; returns its PID."""
    parameters = CalibrateParameters(frame=frame, bias=masters.bias, dark=masters.dark, flat=masters.flat)
    return graph.add(CALIBRATE, parameters, optional=masters.pids())


STACK_MASTER = {"bias": STACK_BIAS, "dark": STACK_DARK}
