"""A graph that was published before, by the structure that it shares with all graphs of its observation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from schema.observing import BIAS, DARK, FLAT, LIGHT
from schema.processes import Process
from schema.queries.publishing import NewProcess
from services.publisher.graph import STACK_MASTER, Masters
from services.steps import STEPS
from services.steps.align import ALIGN, AlignParameters
from services.steps.analyze import ANALYZE
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.calibrate_relative import CALIBRATE_RELATIVE
from services.steps.choose_reference import CHOOSE_REFERENCE
from services.steps.crossmatch import CROSSMATCH
from services.steps.detect import DETECT
from services.steps.detrend import DETREND
from services.steps.extract import EXTRACT, ExtractParameters
from services.steps.flats import CALIBRATE_FLAT, COMBINE_FLAT, CalibrateFlatParameters
from services.steps.place_frames import PLACE_FRAMES
from services.steps.select import SELECT
from services.steps.solve import SOLVE
from services.steps.solve_later import SOLVE_ARCHIVE, SOLVE_INDEX, SOLVERS
from services.steps.stack import STACK, StackParameters
from services.steps.stack_master import StackMasterParameters
from services.steps.zero_point import ZERO_POINT

LIGHT_STEPS = (
    CALIBRATE, CHOOSE_REFERENCE, ALIGN, SELECT, STACK, SOLVE, DETECT, EXTRACT,
    SOLVE_INDEX, SOLVE_ARCHIVE, PLACE_FRAMES, CROSSMATCH, CALIBRATE_RELATIVE, DETREND, ANALYZE, ZERO_POINT,
)  # fmt: skip
# By kind of frame, in the order in which an observation takes them.
COMMANDS_OF = {
    BIAS: (STACK_MASTER[BIAS].command,),
    DARK: (STACK_MASTER[DARK].command,),
    FLAT: (CALIBRATE_FLAT.command, COMBINE_FLAT.command),
    LIGHT: tuple(step.command for step in LIGHT_STEPS),
}

Place = tuple[str, int | None]  # a command, and the frame where there is a process for each
AnyProcess = TypeVar("AnyProcess", Process, NewProcess)


@dataclass(frozen=True)
class OldGraph:
    """A graph as it was published and as it ended."""

    graph_pid: int
    processes: Sequence[Process]  # in order of PID
    places: dict[Place, Process]

    def of(self, command: str) -> list[Process]:
        """Its processes of this command."""
        return [process for process in self.processes if process.command == command]

    @property
    def frames(self) -> list[int]:
        """Image ids of the frames that it took, in its own order."""
        found: list[int] = []
        for process in self.processes:
            match parameters_of(process):
                case CalibrateParameters(frame=frame) | CalibrateFlatParameters(frame=frame):
                    found.append(frame)
                case StackMasterParameters(frames=frames):
                    found += frames
        return found

    @property
    def solvers(self) -> tuple[int, ...]:
        """PIDs of those that tried to solve its template, in the order in which they tried."""
        return tuple(max(process.pid for process in found) for step in SOLVERS if (found := self.of(step.command)))

    @property
    def masters(self) -> Masters:
        """The masters that its frames were calibrated with: the same for all of them."""
        for process in self.processes:
            match parameters_of(process):
                case CalibrateParameters(bias=bias, dark=dark, flat=flat):
                    return Masters(bias, dark, flat)
                case CalibrateFlatParameters(bias=bias, dark=dark):
                    return Masters(bias, dark)
        return Masters()


def parameters_of(process: Process | NewProcess) -> Any:
    """The parameters as its step takes them."""
    return STEPS[process.command].parameters.model_validate_json(process.parameters)


def by_place(processes: Iterable[AnyProcess]) -> dict[Place, AnyProcess]:
    """Processes by their place, which is the same in each graph of an observation; the newest where there are several.

    Those below the root of a tree have none: another fan-out gives another tree.
    """
    places: dict[Place, AnyProcess] = {}
    frame_of: dict[int, int] = {}
    for process in sorted(processes, key=lambda one: one.pid):
        match parameters_of(process):
            case CalibrateParameters(frame=frame) | CalibrateFlatParameters(frame=frame):
                frame_of[process.pid] = frame
            case AlignParameters(calibrated=calibrated) | ExtractParameters(calibrated=calibrated):
                frame_of[process.pid] = frame_of[calibrated]
            case StackParameters(root=False) | StackMasterParameters(root=False):
                continue
        places[process.command, frame_of.get(process.pid)] = process
    return places
