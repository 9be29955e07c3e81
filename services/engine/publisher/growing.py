"""A live night's graph as it was last published, so that only what came since is laid out.

It holds as long as nothing but frames came: whoever publishes looks whether somebody else published meanwhile, or the
choices, the observation or its template changed, and lays out all where something did.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from schema.observing import LIGHT
from schema.processes import SUCCEEDED, Process
from schema.queries.publishing import NewProcess
from services.engine.publisher.appending import CALIBRATING
from services.engine.publisher.former import Former
from services.engine.publisher.frame_digests import digests_of
from services.engine.publisher.graph import Graph, methods_of
from services.engine.publisher.settling import Settled, joining
from services.engine.publisher.templates import template_was_deleted
from services.steps import STEPS, steps_of
from services.steps.calibrate import CALIBRATE
from services.steps.shared.needs import Each, Wait
from services.steps.shared.step import AnyStep


def _over_frames(step: AnyStep) -> set[str]:
    """Commands of which it needs some, one a frame."""
    needs = [need for need in step.needs if need.wait is Wait.SOME]
    return {command for need in needs for command in need.commands if STEPS[command].each is Each.FRAME}


LOOKING = frozenset(
    step.command
    for step in steps_of(LIGHT)
    if step.each is Each.OBSERVATION and step.command not in CALIBRATING and _over_frames(step)
)


@dataclass(frozen=True)
class Standing:
    """What there is of a graph, by PIDs of its own.

    Attributes:
        last_pid: the greatest that was published of its observation.
        choices: by which it was published.
        first_frame: digest of a frame, which shares the facts of the observation with all others.
        has_own: whether some of its frames made its template.
        frames: numbers of all of them.
        measured: what made the template and measured frames, by command; see `Graph.made`.
        by_key: what joined the graph.
        looking: the newest of each command that looks at all frames.
    """

    graph_pid: int
    last_pid: int
    choices: str
    first_frame: str
    has_own: bool
    frames: frozenset[int]
    measured: Mapping[str, Sequence[int]]
    by_key: Mapping[str, int]
    looking: Mapping[str, int]

    def holds(self, session: Session, observation_id: int, choices: str, frames: Collection[int]) -> bool:
        """Whether nothing but frames can have come."""
        since = exists().where(Process.pid > self.last_pid, Process.observation_id == observation_id)
        return (
            choices == self.choices
            and self.frames <= set(frames)
            and not session.scalar(select(since))
            and _digest(session, self.frames) == self.first_frame
            and not template_was_deleted(session, self.graph_pid)
        )

    def lay_out(self, graph: Graph, frames: Sequence[int]) -> set[int]:
        """Add the processes of frames that came since; returns PIDs of those that need no key.

        What looks at all frames is told of by no key: it depends on what came since and on the one before it alone.
        """
        graph.made.update({command: [*pids] for command, pids in self.measured.items()})
        new = [frame for frame in frames if frame not in self.frames]
        steps = list(steps_of(LIGHT))
        if not new:
            for command, pid in self.looking.items():
                graph.made[command].append(pid)
            steps = [step for step in steps if step.command not in self.looking]
        graph.lay_out_later(steps, new, new, methods_of(graph.choices), has_own=self.has_own)
        return {p.pid for p in graph.processes if p.command in CALIBRATING or p.command in LOOKING}

    def settled(self, session: Session, graph: Graph) -> Settled:
        """What is to be published of a graph that was laid out so, and has keys."""
        there = {process.pid: self.by_key.get(process.result_key or "") for process in graph.processes}
        stands = {laid: pid for laid, pid in there.items() if pid is not None}
        settled = joining(graph, Former(self.graph_pid, {}), stands)
        return replace(settled, processes=[self._behind_the_last(session, one) for one in settled.processes])

    def _behind_the_last(self, session: Session, process: NewProcess) -> NewProcess:
        """What looks at all frames waits for the one before it, and no more for all that this one waited for.

        A portion of a night of N frames had N dependencies else. One frame that succeeded is told beside, for of
        nothing nothing can be made (`services.steps.shared.some_inputs`).
        """
        last, over = self.looking.get(process.command), _over_frames(STEPS[process.command])
        if last is None:
            return process
        succeeded = select(Process.pid).where(
            Process.graph_pid == self.graph_pid, Process.command.in_(over), Process.status == SUCCEEDED
        )
        some = session.scalar(succeeded.limit(1))
        if some is None:
            return process
        before = {pid for command in over for pid in self.measured[command]}
        return process._replace(optional=(last, some, *(pid for pid in process.optional if pid not in before)))


def standing_of(session: Session, graph: Graph, settled: Settled, before: Standing | None = None) -> Standing | None:
    """What the next frames grow from when all this is stored; None where there is no such graph.

    graph: as it was laid out, from the standing ``before`` if it was.
    """
    last_pid = max((process.pid for process in settled.processes), default=before.last_pid if before else 0)
    if not (graph.later or before) or settled.taken_over or not last_pid:
        return None

    def pids(found: Sequence[int]) -> list[int]:
        return [settled.stands.get(pid, pid) for pid in found]

    published = {process.pid for process in settled.processes} | settled.stands.keys()
    joined = [process for process in graph.processes if STEPS[process.command].joins and process.pid in published]
    laid = [process for process in graph.processes if _looks(process, graph)]
    looking = before.looking if before else {}
    looking = {**looking, **{process.command: settled.stands.get(process.pid, process.pid) for process in laid}}
    apart = {process.pid for process in laid} | set(looking.values())
    frames = {frame for command, frame in graph.own if command == CALIBRATE.command and isinstance(frame, int)}
    frames |= before.frames if before else set()
    return Standing(
        settled.graph_pid,
        last_pid,
        graph.choices.text(),
        _digest(session, frames),
        has_own=before.has_own if before else bool(frames - graph.later_frames),
        frames=frozenset(frames),
        measured={
            command: pids([pid for pid in found if pid not in apart])
            for command, found in graph.made.items()
            if not STEPS[command].joins
        },
        by_key={p.result_key: settled.stands.get(p.pid, p.pid) for p in joined if p.result_key},
        looking=looking,
    )


def _looks(process: NewProcess, graph: Graph) -> bool:
    """Whether it looks at later frames too, so that each portion has one."""
    return process.command in LOOKING and (process.pid in graph.later or STEPS[process.command].joins)


def _digest(session: Session, frames: Collection[int]) -> str:
    first = min(frames)
    return digests_of(session, [first]).get(first, "")
