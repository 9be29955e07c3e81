"""What an observation cost, by command: the Tianyu paper's Table 4, and the throughput (its Table 5)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, distinct, func, select
from sqlalchemy.orm import Session

from schema.processes import FAILED, SUCCEEDED, Process, ProcessAttempt
from services.chosen import Chosen, chosen_by
from services.errors import DataError
from services.operating import journeys
from services.operating.journeys import Journey
from services.own_site import require_observation
from services.steps import COMMANDS
from services.steps.calibrate import CALIBRATE

BYTES_PER_MB = 1_000_000


@dataclass(frozen=True)
class CommandCost:
    """Cost of one command over all its attempts; None where the platform does not tell."""

    command: str
    processes: int
    calls: int  # attempts that ended: more than processes where some were tried again
    succeeded: int  # processes
    seconds: float
    cpu_seconds: float | None
    max_rss_bytes: int | None
    read_bytes: int | None
    write_bytes: int | None

    @property
    def mean_seconds(self) -> float | None:
        """Wall seconds of one call."""
        return self.seconds / self.calls if self.calls else None

    @property
    def cpu_percent(self) -> float | None:
        """CPU time over wall time; above 100 where several cores work."""
        return None if self.cpu_seconds is None or not self.seconds else 100.0 * self.cpu_seconds / self.seconds

    @property
    def peak_mb(self) -> float | None:
        """Largest resident memory of a worker, 10^6 bytes."""
        return _mb(self.max_rss_bytes)

    @property
    def read_mb(self) -> float | None:
        """Read, 10^6 bytes."""
        return _mb(self.read_bytes)

    @property
    def write_mb(self) -> float | None:
        """Written, 10^6 bytes."""
        return _mb(self.write_bytes)


@dataclass(frozen=True)
class Report:
    """The newest graph of one observation; masters made for it belong to the calibration observations.

    ``running_s`` is the time in which at least one process ran: pauses between runs are left out of it, and of
    everything derived from it, but not of ``elapsed_s``.
    """

    observation_id: int
    graph_pid: int
    rows: tuple[CommandCost, ...]
    total: CommandCost
    workers: int
    started_at: datetime
    finished_at: datetime
    elapsed_s: float
    running_s: float
    finished_processes: int  # succeeded or failed; a skipped process never ran
    frames: int  # calibrated
    published_by: tuple[Chosen, ...]
    journeys: tuple[Journey, ...]  # of images from one site to another

    @property
    def processes_per_s(self) -> float | None:
        """Finished processes in a second while any ran."""
        return self.finished_processes / self.running_s if self.running_s else None

    @property
    def frames_per_s(self) -> float | None:
        """Calibrated frames in a second while any process ran: the whole way to light curves, not `calibrate` alone."""
        return self.frames / self.running_s if self.running_s else None

    @property
    def overhead_s(self) -> float:
        """Worker seconds in which no step worked: from first start to last finish, times workers, less all steps."""
        return max(0.0, self.elapsed_s * self.workers - self.total.seconds)

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only; times are ISO 8601, UTC."""
        return {
            "observation_id": self.observation_id,
            "graph_pid": self.graph_pid,
            "published_by": [vars(chosen) for chosen in self.published_by],
            "rows": [_json(row) for row in self.rows],
            "total": _json(self.total),
            "workers": self.workers,
            "started_at": self.started_at.isoformat() + "Z",
            "finished_at": self.finished_at.isoformat() + "Z",
            "elapsed_s": self.elapsed_s,
            "running_s": self.running_s,
            "finished_processes": self.finished_processes,
            "frames": self.frames,
            "processes_per_s": self.processes_per_s,
            "frames_per_s": self.frames_per_s,
            "overhead_s": self.overhead_s,
            "journeys": [asdict(journey) for journey in self.journeys],
        }


def report(session: Session, observation_id: int) -> Report:
    """The cost of an observation.

    Raises:
        ConfigurationError: there is no such observation.
        DataError: none of its processes has been finished yet.
    """
    require_observation(session, observation_id)
    graph_pid = session.scalar(select(func.max(Process.graph_pid)).where(Process.observation_id == observation_id))
    spans = _spans(session, graph_pid)
    if graph_pid is None or not spans:
        raise DataError(
            f"observation {observation_id}: no process has been finished yet; `tianyu status {observation_id}` shows "
            "how far it is"
        )
    counts = _counts(session, graph_pid)
    rows = _costs(session, graph_pid, counts)
    first, last = spans[0][0], max(end for _, end in spans)
    return Report(
        observation_id=observation_id,
        graph_pid=graph_pid,
        rows=rows,
        total=_total(rows),
        workers=_workers(session, graph_pid),
        started_at=first,
        finished_at=last,
        elapsed_s=(last - first).total_seconds(),
        running_s=_covered_s(spans),
        finished_processes=sum(finished for _, finished, _ in counts.values()),
        frames=counts.get(CALIBRATE.command, (0, 0, 0))[2],
        published_by=chosen_by(session, [graph_pid])[graph_pid],
        journeys=journeys.of_graph(session, graph_pid),
    )


def _spans(session: Session, graph_pid: int | None) -> list[tuple[datetime, datetime]]:
    """Start and end of every attempt that ended, in order of start."""
    rows = session.execute(
        select(ProcessAttempt.started_at, ProcessAttempt.finished_at)
        .join(Process, Process.pid == ProcessAttempt.pid)
        .where(Process.graph_pid == graph_pid, ProcessAttempt.finished_at.is_not(None))
        .order_by(ProcessAttempt.started_at)
    )
    return [(start, end) for start, end in rows if end is not None]


def _covered_s(spans: Sequence[tuple[datetime, datetime]]) -> float:
    """Length of the union of spans that are ordered by their start."""
    covered = 0.0
    begin, reached = spans[0]
    for start, end in spans:
        if start > reached:
            covered += (reached - begin).total_seconds()
            begin = start
        reached = max(reached, end)
    return covered + (reached - begin).total_seconds()


def _workers(session: Session, graph_pid: int) -> int:
    query = (
        select(func.count(distinct(ProcessAttempt.worker)))
        .join(Process, Process.pid == ProcessAttempt.pid)
        .where(Process.graph_pid == graph_pid)
    )
    return session.scalar(query) or 0


def _counts(session: Session, graph_pid: int) -> dict[str, tuple[int, int, int]]:
    """Of each command: all processes, those that worked to their end, and those that succeeded."""
    rows = session.execute(
        select(
            Process.command,
            func.count(),
            func.sum(case((Process.status.in_((SUCCEEDED, FAILED)), 1), else_=0)),
            func.sum(case((Process.status == SUCCEEDED, 1), else_=0)),
        )
        .where(Process.graph_pid == graph_pid)
        .group_by(Process.command)
    )
    return {command: (count, int(finished), int(succeeded)) for command, count, finished, succeeded in rows}


def _costs(session: Session, graph_pid: int, counts: dict[str, tuple[int, int, int]]) -> tuple[CommandCost, ...]:
    """The sums of view process_summary, for one graph alone."""
    sums = session.execute(
        select(
            Process.command,
            func.count(ProcessAttempt.finished_at),
            func.sum(ProcessAttempt.seconds),
            func.sum(ProcessAttempt.cpu_seconds),
            func.max(ProcessAttempt.max_rss_bytes),
            func.sum(ProcessAttempt.read_bytes),
            func.sum(ProcessAttempt.write_bytes),
        )
        .join(ProcessAttempt, ProcessAttempt.pid == Process.pid)
        .where(Process.graph_pid == graph_pid)
        .group_by(Process.command)
    )
    place = {command: number for number, command in enumerate(COMMANDS)}
    rows = [
        CommandCost(
            command=command,
            processes=counts[command][0],
            calls=calls,
            succeeded=counts[command][2],
            seconds=float(seconds or 0.0),
            cpu_seconds=None if cpu is None else float(cpu),
            max_rss_bytes=rss,
            read_bytes=None if read is None else int(read),
            write_bytes=None if write is None else int(write),
        )
        for command, calls, seconds, cpu, rss, read, write in sums
    ]
    return tuple(sorted(rows, key=lambda row: (place.get(row.command, len(place)), row.command)))


def _total(rows: Sequence[CommandCost]) -> CommandCost:
    def known(name: str) -> list[Any]:
        return [value for row in rows if (value := getattr(row, name)) is not None]

    return CommandCost(
        command="total",
        processes=sum(row.processes for row in rows),
        calls=sum(row.calls for row in rows),
        succeeded=sum(row.succeeded for row in rows),
        seconds=sum(row.seconds for row in rows),
        cpu_seconds=sum(known("cpu_seconds")) if known("cpu_seconds") else None,
        max_rss_bytes=max(known("max_rss_bytes"), default=None),
        read_bytes=sum(known("read_bytes")) if known("read_bytes") else None,
        write_bytes=sum(known("write_bytes")) if known("write_bytes") else None,
    )


def _mb(count: int | None) -> float | None:
    return None if count is None else count / BYTES_PER_MB


def _json(row: CommandCost) -> dict[str, Any]:
    return asdict(row) | {"mean_seconds": row.mean_seconds, "cpu_percent": row.cpu_percent}
