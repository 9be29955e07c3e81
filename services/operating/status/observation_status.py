"""The state of one observation, and of the single processes that an operator asks about."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from schema.processes import CANCELLED, FAILED, SUCCEEDED, UNFINISHED
from services.alike import gist
from services.chosen import Chosen
from services.masters import FailedMaster
from services.operating.calibration import Explained
from services.steps import STEPS
from services.steps.shared.needs import Each

NOT_YET = "its plan has not begun"  # for an error of what waits for a time and was never tried


def iso(time: datetime) -> str:
    """UTC as ISO 8601, seconds."""
    return time.isoformat(timespec="seconds") + "Z"


@dataclass(frozen=True)
class CommandStatus:
    """Processes of one command by state; states without any are 0."""

    command: str
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Failure:
    """A process that failed for good, and why."""

    pid: int
    command: str
    attempt: int
    error_class: str | None
    error: str


@dataclass(frozen=True)
class FailureGroup:
    """Processes of one command that failed alike; ``error`` is that of the first of ``pids``, the examples."""

    command: str
    error_class: str | None
    error: str
    count: int
    pids: tuple[int, ...]

    @property
    def gist(self) -> str:
        """The error without what is particular to one frame."""
        return gist(self.error)


@dataclass(frozen=True)
class Running:
    """A process at work; ``since`` is UTC; ``lease_s`` seconds are left of its lease, None when it has none."""

    pid: int
    command: str
    attempt: int
    worker: str
    host: str
    since: datetime
    lease_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As `ObservationStatus.to_json`."""
        return vars(self) | {"since": iso(self.since)}


@dataclass(frozen=True)
class Retry:
    """Processes of one command that failed alike and will be tried again by themselves.

    ``attempt`` of ``max_attempts`` was the last one; the first of them starts in ``next_in_s`` seconds, at ``next_at``.
    0: there was none, it is an exposure whose plan has not begun.
    """

    observation_id: int | None
    command: str
    attempt: int
    max_attempts: int
    error_class: str | None
    error: str
    count: int
    pids: tuple[int, ...]
    next_at: datetime
    next_in_s: float

    @property
    def is_planned(self) -> bool:
        """Whether nothing has failed."""
        return self.error == NOT_YET

    @property
    def gist(self) -> str:
        """The error without what is particular to one frame."""
        return gist(self.error)

    def to_json(self) -> dict[str, Any]:
        """As `ObservationStatus.to_json`."""
        return vars(self) | {"next_at": iso(self.next_at)}


@dataclass(frozen=True)
class Hindered:
    """Processes of one observation that wait for their surroundings (disk, database), however long it takes.

    ``reason`` is the newest, ``since`` when the first of them met it; the next is tried in ``next_in_s`` seconds.
    """

    observation_id: int | None
    count: int
    pids: tuple[int, ...]
    reason: str
    since: datetime
    next_in_s: float

    def to_json(self) -> dict[str, Any]:
        """As `ObservationStatus.to_json`."""
        return vars(self) | {"since": iso(self.since)}


@dataclass(frozen=True)
class ObservationStatus:
    """How far one observation is.

    ``graph_pid`` is the newest graph (None: not published); commands, failures and running are those of that graph.
    ``older_unfinished`` counts what can still move in graphs that it replaced. ``light_curves`` tells whether there
    are any, also from an older graph.
    """

    observation_id: int
    target: str
    filter: str
    instrument: str
    night: date
    kind: str
    graph_pid: int | None
    frames: int
    frames_rejected: int
    commands: tuple[CommandStatus, ...]
    failures: tuple[Failure, ...]
    running: tuple[Running, ...]
    older_unfinished: int
    light_curves: bool
    calibration: str | None = None  # state of the newest calibration of the newest graph that the views shall show
    failure_groups: tuple[FailureGroup, ...] = ()
    failed_masters: tuple[FailedMaster, ...] = ()  # for which frames of the newest graph are skipped
    published_by: tuple[Chosen, ...] = ()  # told by `overview` alone
    site: str = ""  # where its frames and images are
    setting: str = ""  # of the detector: gain, offset, read mode
    geometry: str = ""  # how its frames are read out of their files: trim, overscan, plane
    exposure_s: float = 0.0  # of its frames
    masters: tuple[Explained, ...] = ()  # told by `overview` of one observation alone
    notes: tuple[str, ...] = ()  # what contradicts itself in its frames
    stopped_after: str | None = None  # the step at which the newest graph ends, as asked: before its light curves

    @property
    def expected(self) -> int:
        """Processes of the newest graph, in any state."""
        return sum(command.total for command in self.commands)

    def count(self, *states: str) -> int:
        """Processes in these states."""
        return sum(command.counts[state] for command in self.commands for state in states)

    @property
    def finished(self) -> bool:
        """Nothing of the observation itself can move any more; `finished` looks at its masters too."""
        return self.count(*UNFINISHED) + self.older_unfinished == 0

    @property
    def end(self) -> str | None:
        """How the newest graph ended: succeeded, failed or cancelled; None while it can move, or where there is none.

        Light curves of an earlier graph do not count: they are not what was asked for last. Of a graph that was asked
        for up to a step, that step counts.
        """
        if self.graph_pid is None or not self.finished:
            return None
        if self.calibration == SUCCEEDED:
            return SUCCEEDED
        if self.stopped_after is not None and not self.count(CANCELLED):
            return SUCCEEDED if self._came_to_its_last_step else FAILED
        if self.calibration == CANCELLED or (self.calibration != FAILED and self.count(CANCELLED)):
            return CANCELLED
        return SUCCEEDED if self.calibration is None and self.light_curves else FAILED

    @property
    def _came_to_its_last_step(self) -> bool:
        """Single frames may be no good."""
        last = self.commands[-1]
        single = STEPS[last.command].each is Each.FRAME
        return bool(last.counts[SUCCEEDED]) and (single or not last.counts[FAILED])

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only; times are ISO 8601, UTC."""
        return {
            "observation_id": self.observation_id,
            "site": self.site,
            "target": self.target,
            "filter": self.filter,
            "instrument": self.instrument,
            "setting": self.setting,
            "geometry": self.geometry,
            "exposure_s": self.exposure_s,
            "night": self.night.isoformat(),
            "kind": self.kind,
            "graph_pid": self.graph_pid,
            "published_by": [vars(chosen) for chosen in self.published_by],
            "frames": self.frames,
            "frames_rejected": self.frames_rejected,
            "expected": self.expected,
            "commands": [{"command": c.command, **c.counts} for c in self.commands],
            "failures": [vars(failure) for failure in self.failures],
            "failure_groups": [vars(group) for group in self.failure_groups],
            "notes": list(self.notes),
            "masters": [one.to_json() for one in self.masters],
            "failed_masters": [vars(master) for master in self.failed_masters],
            "running": [run.to_json() for run in self.running],
            "older_unfinished": self.older_unfinished,
            "light_curves": self.light_curves,
            "stopped_after": self.stopped_after,
            "finished": self.finished,
            "end": self.end,
        }
