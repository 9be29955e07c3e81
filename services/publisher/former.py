"""What there is of a new graph: an earlier graph of the same observation has processes of the same keys.

Pure but for `formers`. Two rules make a result that was made before stand for a process of the new graph:

- all that the process needs is of the same earlier graph too, for the images that a graph takes over get new ids
  (but for the branches of a tree, which nobody needs any more behind a root that is there);
- it ended for good, and had begun after all that it waited for had ended (`adopting.outdated`): a frame that was
  repaired and tried again later is not in it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy.orm import Session

from schema.photometry import Flux
from schema.processes import CANCELLED, FAILED, SKIPPED, SUCCEEDED, UNFINISHED
from schema.queries import adopting
from schema.queries.adopting import Keyed
from schema.queries.publishing import NewProcess
from services.errors import DataError
from services.steps import STEPS
from services.steps.base import AnyStep
from services.steps.needs import Each
from services.steps.told import replaced


@dataclass(frozen=True)
class Former:
    """An earlier graph of an observation: of each key its newest process that is not outdated."""

    graph_pid: int
    by_key: dict[str, Keyed]

    def of(self, process: NewProcess) -> Keyed | None:
        """What has the same key."""
        return None if process.result_key is None else self.by_key.get(process.result_key)

    def has_all(self, processes: Sequence[NewProcess]) -> bool:
        """Whether nothing of a new graph is missing, in whatever state it is."""
        found = {process.pid for process in processes if self.of(process)}
        return all(process.pid in found for process in without_branches(processes, found))

    def joined_by(self, processes: Sequence[NewProcess]) -> dict[int, int] | None:
        """PIDs of a new graph's processes that are here: of theirs; None where others than such that join are missing.

        What joins waits for what is here as for any other process, so that it need not have ended.
        """
        found = _closed(processes, {p.pid: one.pid for p in processes if (one := self.of(p)) and _is_to_count_on(one)})
        whole = without_branches(processes, found)
        return found if all(p.pid in found or STEPS[p.command].joins for p in whole) else None

    def taken_over_by(self, processes: Sequence[NewProcess], deleted: Collection[str]) -> dict[int, int]:
        """PIDs of a new graph's processes whose results it takes over: of those that made them.

        ``deleted``: kinds of images of which this graph has lost files; what opens them needs them made again.
        """
        found = {
            process.pid: one.pid
            for process in processes
            if (one := self.of(process)) and _is_result(one) and can_be_taken_over(STEPS[process.command])
        }
        while True:
            found = _closed(processes, found)
            missing = [STEPS[process.command] for process in processes if process.pid not in found]
            lost = {kind for step in missing for kind in (*step.opens, *step.uses)} & set(deleted)
            kept = {
                process.pid: found[process.pid]
                for process in processes
                if process.pid in found and not lost & {*STEPS[process.command].makes, *STEPS[process.command].partial}
            }
            if len(kept) == len(found):
                return found
            found = kept


def can_be_taken_over(step: AnyStep) -> bool:
    """Whether another graph can have a step's rows too: fluxes are of an image, whichever process measured them."""
    return not step.joins and Flux not in step.tables


def _is_result(one: Keyed) -> bool:
    """A frame that is no good is one too: it would fail once more. What was skipped behind it would be skipped."""
    return one.status in (SUCCEEDED, SKIPPED) or (one.status == FAILED and one.error_class == DataError.error_class)


def _is_to_count_on(one: Keyed) -> bool:
    return one.status in UNFINISHED or _is_result(one)


def _closed(processes: Sequence[NewProcess], found: dict[int, int]) -> dict[int, int]:
    """Those found of which all that they need of their own graph is found too; they stand behind what they need."""
    own = {process.pid for process in processes}
    kept: dict[int, int] = {}
    for process in processes:
        if process.pid in found and (needed(process) & own) - branches_of(process, processes) <= kept.keys():
            kept[process.pid] = found[process.pid]
    return kept


def branches_of(process: NewProcess, processes: Iterable[NewProcess]) -> set[int]:
    """PIDs of the branches from which a process of a tree combines."""
    if STEPS[process.command].each is not Each.TREE:
        return set()
    return {other.pid for other in processes if other.command == process.command} & needed(process)


def without_branches(processes: Sequence[NewProcess], found: Collection[int]) -> list[NewProcess]:
    """Processes without the branches of trees whose root is found."""
    spared: set[int] = set()
    for process in reversed(processes):
        if process.pid in found or process.pid in spared:
            spared |= branches_of(process, processes)
    return [process for process in processes if process.pid not in spared]


@lru_cache(maxsize=20_000)  # processes; each is asked for several times by one publisher
def needed(process: NewProcess) -> frozenset[int]:
    """PIDs that a process waits for or is told."""
    pids = {*process.required, *process.optional}
    replaced(STEPS[process.command], process.parameters, _noting(pids))
    return frozenset(pids)


def _noting(pids: set[int]) -> Callable[[int], int]:
    def note(pid: int) -> int:
        pids.add(pid)
        return pid

    return note


def is_unfinished(one: Keyed) -> bool:
    """Whether its end is still to come."""
    return one.status in UNFINISHED


def is_failure(one: Keyed) -> bool:
    """Whether somebody should look at it. A single frame that is no good is none: the others stand without it."""
    if STEPS[one.command].each is Each.FRAME and _is_result(one):
        return False
    return one.status in (FAILED, SKIPPED, CANCELLED)


def formers(session: Session, observation_id: int, graph_pid: int | None = None) -> list[Former]:
    """Earlier graphs of an observation whose keys are known, or one of them; the newest first."""
    by_graph: dict[int, dict[str, Keyed]] = {}
    for one in adopting.keyed(session, observation_id, graph_pid):  # in order of PID
        by_graph.setdefault(one.graph_pid, {})[one.result_key] = one
    return [Former(graph_pid, by_graph[graph_pid]) for graph_pid in sorted(by_graph, reverse=True)]
