"""A graph that was published before, by the structure that it shares with all graphs of its observation."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from schema.processes import SUCCEEDED, Process
from schema.queries.publishing import NewProcess
from services.steps import STEPS
from services.steps.calibrate import CALIBRATE
from services.steps.detect import DETECT
from services.steps.shared.needs import KNOWN, OWN, Each, Template
from services.steps.shared.step import AnyStep, Method

Place = tuple[str, int | str | None]  # a command, and the frame or method where there is a process for each
AnyProcess = TypeVar("AnyProcess", bound=Process | NewProcess)


@dataclass(frozen=True)
class OldGraph:
    """A graph as it was published and as it ended."""

    graph_pid: int
    processes: Sequence[Process]  # in order of PID
    places: dict[Place, Process]

    def of(self, command: str) -> list[Process]:
        """Its processes of this command."""
        return [process for process in self.processes if process.command == command]

    def standing(self, command: str) -> list[Process]:
        """Its newest processes of this command, one for each frame or method; of a tree the root alone."""
        return [process for (its_command, _), process in self.places.items() if its_command == command]

    def key_of(self, place: Place) -> str | None:
        """Key of the newest process of this place; None where there is none, or its key is not known."""
        return self.places[place].result_key if place in self.places else None

    @property
    def frames(self) -> list[int]:
        """Image ids of the frames that it took, in its own order."""
        found: list[int] = []
        for process in self.processes:
            step = STEPS[process.command]
            if step.takes_frame:
                found.append(parameters_of(process).frame)
            elif step.each is Each.TREE:
                found += getattr(parameters_of(process), "frames", ())
        return list(dict.fromkeys(found))

    @property
    def made_of(self) -> list[int]:
        """Those of its frames that made its template; none where it is another night's."""
        detect = self.places.get((DETECT.command, None))
        calibrated = self.by_frame(CALIBRATE.command)
        return [frame for frame in self.frames if detect is None or calibrated[frame] < detect.pid]

    @property
    def template(self) -> Template:
        """Whose template its frames are measured on."""
        return OWN if self.made_of else KNOWN

    @property
    def masters(self) -> dict[str, int]:
        """PIDs of what made the masters that its frames were calibrated with, by command: the same for all of them."""
        found: dict[str, int | None] = {}
        for step in {STEPS[process.command] for process in self.processes}:
            for need in step.needs:
                if need.into is not None and STEPS[need.commands[0]].kind != step.kind:
                    found[need.commands[0]] = getattr(parameters_of(self.of(step.command)[0]), need.into)
        return {command: pid for command, pid in found.items() if pid is not None}

    def newest(self, command: str, *, succeeded: bool) -> list[int]:
        """PIDs of its newest processes of this command; with ``succeeded`` of those that did, where any did."""
        done = [process.pid for process in self.ends(command) if process.status == SUCCEEDED]
        if succeeded and done and STEPS[command].each is Each.OBSERVATION:
            return done[-1:]
        return [process.pid for process in self.standing(command)]

    def by_frame(self, command: str) -> dict[int, int]:
        """PIDs of its newest processes of a command that is for each frame, by the frame's image id."""
        places = self.places.items()
        return {item: one.pid for (its, item), one in places if its == command and isinstance(item, int)}

    def ends(self, command: str) -> list[Process]:
        """What tells whether a command succeeded: of a tree the root alone, for a branch may be there without it."""
        if STEPS[command].each is Each.TREE:
            return self.standing(command)
        return self.of(command)

    def methods(self, command: str, shown: int | None) -> dict[Method, int]:
        """Of each method the process that the views show, else the newest that succeeded."""
        newest: dict[str, int] = {}
        for process in self.of(command):
            method = parameters_of(process).method
            if process.status == SUCCEEDED and newest.get(method) != shown:
                newest[method] = process.pid
        return {Method(name, pid == shown): pid for name, pid in newest.items()}


def parameters_of(process: Process | NewProcess) -> Any:
    """The parameters as its step takes them."""
    return STEPS[process.command].parameters.model_validate_json(process.parameters)


def by_place(processes: Iterable[AnyProcess]) -> dict[Place, AnyProcess]:
    """Processes by their place; the newest where there are several."""
    return dict(places(processes))


def places(processes: Iterable[AnyProcess]) -> Iterator[tuple[Place, AnyProcess]]:
    """Processes in order of PID with their place, which is the same in each graph of an observation.

    Those below the root of a tree have none: another fan-out gives another tree.
    """
    items: dict[int, int | str] = {}  # frame or method, by PID
    for process in sorted(processes, key=lambda one: one.pid):
        step, parameters = STEPS[process.command], parameters_of(process)
        if step.each is Each.TREE and not parameters.root:
            continue
        if step.each.item is not None:
            items[process.pid] = _item(step, parameters, items)
        elif any(need.template == KNOWN and need.into and getattr(parameters, need.into) for need in step.needs):
            items[process.pid] = KNOWN  # beside the one of the frames that made the template
        yield (process.command, items.get(process.pid)), process


def _item(step: AnyStep, parameters: Any, items: dict[int, int | str]) -> int | str:
    """The frame or method that a process is for: it says so, or the one of the same that it is told of."""
    for need in step.needs:
        if need.into is not None and step.goes_with(STEPS[need.commands[0]]):
            return items[getattr(parameters, need.into)]
    found: int | str = getattr(parameters, str(step.each.item))
    return found
