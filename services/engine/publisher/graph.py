"""The graph of an observation, laid out of the facts of its steps. Pure: ids in, processes out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.stack.tree import fan_in
from schema.queries.capturing import is_capture
from schema.queries.publishing import NewProcess
from services.choices import Choices
from services.deployment import Deployment
from services.steps import STEPS, asked_for
from services.steps.shared.needs import KNOWN, OWN, Each, Need, Template, Wait
from services.steps.shared.step import AnyStep, Method, Parameters
from services.steps.shared.told import pids_told

Item = int | Method  # a frame (its number: an image id, or the PID of the process that takes it), or a method
BRANCHES = Need((), Wait.SOME, all_into="parents")  # of a tree over frames


@dataclass
class Inputs:
    """What needs come to: parameters of a process, and PIDs that it waits for."""

    parameters: dict[str, Any] = field(default_factory=dict)
    required: tuple[int, ...] = ()
    optional: tuple[int, ...] = ()

    def take(self, need: Need, pids: Sequence[int]) -> None:
        """These processes answer a need."""
        if need.into and pids:
            self.parameters[need.into] = pids[-1]
        elif need.all_into:
            self.parameters[need.all_into] = tuple(pids)
        if need.must_succeed:
            self.required = (*self.required, *pids)
        elif need.wait is not Wait.NOT:
            self.optional = (*self.optional, *pids)

    def copy(self, **parameters: Any) -> "Inputs":
        """The same, to be changed, with more parameters."""
        return Inputs(self.parameters | parameters, self.required, self.optional)


@dataclass
class Graph:
    """Processes of one observation while they are put together; the first one's PID names the graph.

    With ``grown``, the PID of a graph that was published before, they are added to that one.
    ``made`` and ``own`` hold the PIDs that others need, by command, and by command and frame or method: of processes
    that there are already, put there before the graph is laid out, and of those that were added.
    """

    observation_id: int
    deployment: Deployment
    choices: Choices
    pids: Iterator[int]
    priority: int = 0
    processes: list[NewProcess] = field(default_factory=list)
    grown: int | None = None
    template: Template = OWN
    made: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    own: dict[tuple[str, Item], int] = field(default_factory=dict)
    later: dict[int, Item | None] = field(default_factory=dict)  # PIDs of what measures later frames: the frame, if one
    generations: Mapping[str, int] = field(default_factory=dict)  # by command, where it was asked for anew
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # parameters by command, found for its frames

    @property
    def graph_pid(self) -> int:
        """PID that names the graph."""
        return self.grown or self.processes[0].pid

    @property
    def later_frames(self) -> set[int]:
        """Frames that came after the template was made."""
        return {item for item in self.later.values() if isinstance(item, int)}

    def add(self, step: AnyStep, inputs: Inputs) -> int:
        """Add a process; returns its PID."""
        pid = next(self.pids)
        parameters = step.parameters(**inputs.parameters)
        told = parameters.model_dump(mode="json")
        self.processes.append(
            NewProcess(
                pid=pid,
                graph_pid=self.graph_pid if self.grown or self.processes else pid,
                command=step.command,
                parameters=parameters.model_dump_json(exclude_defaults=True),
                group=self.deployment.group_of(step.command),
                site=self.deployment.site_of(step.command) if step.anywhere else None,
                observation_id=self.observation_id,
                required=inputs.required,
                optional=inputs.optional,
                priority=self.priority,
                max_attempts=self.deployment.max_attempts,
                generation=self.generations.get(step.command, 0),
                told=told,
                needs=frozenset((*inputs.required, *inputs.optional, *pids_told(step, told))),
            )
        )
        return pid

    def lay_out_on(
        self,
        steps: Sequence[AnyStep],
        made_of: Sequence[int],
        frames: Sequence[int],
        methods: Sequence[Method],
        roots: Mapping[str, Parameters] | None = None,
    ) -> None:
        """Add the processes of a whole graph whose template is made of some of its frames.

        The others are measured on it as soon as each is calibrated. ``made_of`` is empty where the template is there.
        """
        stacked = set(made_of)
        later = [frame for frame in frames if frame not in stacked]
        if not later:
            self.lay_out(steps, frames, methods, roots)
            return
        if made_of:
            self.lay_out([step for step in steps if not step.joins], made_of, roots=roots)
        self.lay_out_later(steps, later, frames, methods, has_own=bool(made_of))

    def lay_out_later(
        self,
        steps: Sequence[AnyStep],
        later: Sequence[int],
        frames: Sequence[int],
        methods: Sequence[Method],
        *,
        has_own: bool,
    ) -> None:
        """Add what measures later frames on a template that is there, and what joins such a graph.

        ``has_own``: the template is made of frames of this observation.
        """
        following = [step for step in steps if step.joins]
        before = len(self.processes)
        self.template = KNOWN
        self.lay_out([step for step in steps if not step.joins], later)
        items = {pid: item for (_, item), pid in self.own.items()}
        self.later = {process.pid: items.get(process.pid) for process in self.processes[before:]}
        if has_own:
            self.template = OWN
            self.lay_out([step for step in following if step.template == OWN], frames)
            self.template = KNOWN
        self.lay_out(following, frames, methods)

    def lay_out(
        self,
        steps: Iterable[AnyStep],
        frames: Sequence[int] = (),
        methods: Sequence[Method] = (),
        roots: Mapping[str, Parameters] | None = None,
    ) -> None:
        """Add the processes of these steps, which stand in the order of all, as far as choices and template want them.

        ``roots``: parameters of the root of a tree of which nothing else is needed any more, by command.
        """
        wanted = [step for step in asked_for(steps, self.choices) if step.template in (None, self.template)]
        waiting = _in_order_of_pids(wanted)
        while waiting:
            together = self._together(waiting)
            waiting = [step for step in waiting if step not in together]
            each = together[0].each
            if each is Each.TREE:
                self._lay_tree(together[0], frames, (roots or {}).get(together[0].command))
            elif each is Each.OBSERVATION:
                self._lay_one(together[0])
            else:
                self._lay_items(together, frames if each is Each.FRAME else methods)

    def _together(self, waiting: Sequence[AnyStep]) -> list[AnyStep]:
        """The first, and those that a frame (or method) goes on to at once: they wait for nothing that is to come."""
        together, to_come = [waiting[0]], {step.command for step in waiting[1:]}
        for step in waiting[1:]:
            needs = {command for need in step.needs_on(self.template) for command in need.commands}
            if step.goes_with(together[0]) and needs.isdisjoint(to_come):
                together.append(step)
                to_come.remove(step.command)
        return together

    def _lay_one(self, step: AnyStep) -> None:
        inputs = self._inputs(step, step.needs_on(self.template))
        if inputs is not None:
            self.made[step.command].append(self.add(step, inputs))

    def _lay_items(self, steps: Sequence[AnyStep], items: Sequence[Item]) -> None:
        """Steps for each frame or each method: one after the other, each with what is its own."""
        shared: list[tuple[AnyStep, Inputs, list[Need]]] = []
        for step in steps:
            needs = step.needs_on(self.template)
            own = [need for need in needs if step.goes_with(STEPS[need.commands[0]])]
            inputs = self._inputs(step, [need for need in needs if need not in own])
            if inputs is not None:
                shared.append((step, inputs, own))
        takes_frame = {step.command for step in steps if step.takes_frame}
        for item in items:
            for step, inputs, own in shared:
                if isinstance(item, Method):
                    if item.shown or step.each is not Each.SHOWN:
                        self._lay_item(step, item, inputs.copy(**self._chosen(step, item)), own)
                else:
                    of_frame = inputs.copy(frame=item) if step.command in takes_frame else inputs.copy()
                    if step.command in takes_frame and is_capture(item):
                        of_frame.required = (*of_frame.required, item)
                    self._lay_item(step, item, of_frame, own)

    def _lay_item(self, step: AnyStep, item: Item, inputs: Inputs, own: Sequence[Need]) -> None:
        for need in own:
            pid = self.own.get((need.commands[0], item))
            if pid is not None:
                inputs.take(need, (pid,))
            elif need.wait is Wait.REQUIRED:
                return
        pid = self.add(step, inputs)
        self.made[step.command].append(pid)
        self.own[step.command, item] = pid

    def _lay_tree(self, step: AnyStep, frames: Sequence[int], root: Parameters | None) -> None:
        """A step that combines some at a time; its leaves are frames, or what another step makes of each frame."""
        needs = step.needs_on(self.template)
        over = next((need for need in needs if STEPS[need.commands[0]].each is Each.FRAME), None)
        of_node = self._inputs(step, [need for need in needs if need is not over and not need.at_root])
        of_root = self._inputs(step, [need for need in needs if need is not over])
        if of_node is None or of_root is None:
            return

        def node(children: Sequence[int], is_leaf: bool, is_root: bool) -> int:
            inputs = (of_root if is_root else of_node).copy(root=is_root)
            if over is not None:
                inputs.parameters["leaf"] = is_leaf
                inputs.take(over, children)
            elif is_leaf:
                inputs.parameters["frames"] = tuple(children)
                inputs.optional = (*inputs.optional, *filter(is_capture, children))
            else:
                inputs.take(BRANCHES, children)
            return self.add(step, inputs)

        below = list(frames) if over is None else self.made[over.commands[0]]
        if root is not None:
            self.made[step.command].append(self._lay_root(step, of_root.copy(**dict(root)), over, below))
            return
        levels = fan_in(len(below), self.choices.fan_out)
        for depth, level in enumerate(levels):
            is_root = depth == len(levels) - 1
            below = [node([below[i] for i in group], depth == 0, is_root) for group in level]
        self.made[step.command] += below

    def _lay_root(self, step: AnyStep, inputs: Inputs, over: Need | None, leaves: Sequence[int]) -> int:
        """The root alone, of the branches as they were, or of the leaves where it has no others."""
        if over is not None and inputs.parameters["leaf"]:
            inputs.take(over, leaves)
        return self.add(step, inputs)

    def _inputs(self, step: AnyStep, needs: Iterable[Need]) -> Inputs | None:
        """What is alike for all processes of a step; None where something required is not there."""
        inputs = Inputs(self._chosen(step, None) if step.each.item != "method" else {})
        for need in needs:
            pids = sorted(pid for command in need.commands for pid in self.made[command])
            if need.wait is Wait.REQUIRED and not pids:
                return None
            inputs.take(need, pids)
        return inputs

    def _chosen(self, step: AnyStep, method: Method | None) -> dict[str, Any]:
        chosen = {} if step.chosen is None else step.chosen(self.choices, method)
        return {**chosen, **self.given.get(step.command, {})}


def methods_of(choices: Choices) -> list[Method]:
    """The methods that were chosen; the views show the first."""
    return [Method(name, number == 0) for number, name in enumerate(choices.relative_methods)]


def _in_order_of_pids(steps: Sequence[AnyStep]) -> list[AnyStep]:
    """What has the smaller PID begins first: searches that take long begin before frames that wait for the same."""
    order = [step for step in steps if not step.begins_early]
    for step in steps:
        if step.begins_early:
            commands = {command for need in step.needs for command in need.commands}
            behind = [place for place, other in enumerate(order) if other.command in commands]
            order.insert(max(behind, default=-1) + 1, step)
    return order
