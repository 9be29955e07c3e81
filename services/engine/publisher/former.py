"""What there is of a new graph: an earlier graph of the same observation has processes of the same keys.

Pure but for `formers`. Two rules make a result that was made before stand for a process of the new graph:

- all that the process needs is of the same earlier graph too, for the images that a graph takes over get new ids
  (but for the branches of a tree, which nobody needs any more behind a root that is there);
- it ended for good, and had begun after all that it waited for had ended (`schema.queries.outdated`): a frame that was
  repaired and tried again later is not in it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from schema.photometry import Flux
from schema.processes import FAILED, SKIPPED, SUCCEEDED, UNFINISHED, UNSUCCESSFUL
from schema.queries import adopting
from schema.queries.adopting import Keyed
from schema.queries.outdated import skipped_behind, unlike_their_keys
from schema.queries.publishing import NewProcess
from services.engine.publisher.keys import needed
from services.errors import DataError
from services.steps import STEPS
from services.steps.detect import DETECT
from services.steps.shared.needs import Each
from services.steps.shared.step import AnyStep
from services.steps.transfer import TRANSFER


class LaidOut:
    """Processes of a new graph, which stand behind what they need, and what each needs of them."""

    def __init__(self, processes: Sequence[NewProcess]) -> None:
        self.processes = processes
        commands = {process.pid: process.command for process in processes}
        pids = frozenset(commands)
        self._needs: dict[int, frozenset[int]] = {}
        self._branches: dict[int, set[int]] = {}  # of those that have some
        for process in processes:
            own = needed(process) & pids
            if STEPS[process.command].each is Each.TREE:
                self._branches[process.pid] = {pid for pid in own if commands[pid] == process.command}
                own = own - self._branches[process.pid]
            self._needs[process.pid] = own

    def branches_of(self, pid: int) -> set[int]:
        """PIDs of the branches from which a process of a tree combines."""
        return self._branches.get(pid, set())

    def closed(self, found: dict[int, int]) -> dict[int, int]:
        """Those found of which all that they need of their own graph is found too."""
        kept: dict[int, int] = {}
        for process in self.processes:
            if process.pid in found and self._needs[process.pid] <= kept.keys():
                kept[process.pid] = found[process.pid]
        return kept

    def without_branches(self, found: Collection[int]) -> list[NewProcess]:
        """Processes without the branches of trees whose root is found."""
        spared: set[int] = set()
        for process in reversed(self.processes):
            if process.pid in found or process.pid in spared:
                spared |= self.branches_of(process.pid)
        return [process for process in self.processes if process.pid not in spared]


@dataclass(frozen=True)
class Former:
    """An earlier graph of an observation: of each key of a new one its newest process that is not outdated."""

    graph_pid: int
    by_key: dict[str, Keyed]

    def of(self, process: NewProcess) -> Keyed | None:
        """What has the same key."""
        return None if process.result_key is None else self.by_key.get(process.result_key)

    def has_all(self, laid: LaidOut) -> bool:
        """Whether nothing of a new graph is missing, in whatever state it is."""
        found = {process.pid for process in laid.processes if self.of(process)}
        return all(process.pid in found for process in laid.without_branches(found))

    def has_template(self, laid: LaidOut) -> bool:
        """Whether the template on which later frames are to be measured is here or being made, as it should be."""
        detect = next((process for process in laid.processes if process.command == DETECT.command), None)
        one = None if detect is None else self.of(detect)
        if detect is None or one is None or one.status not in (SUCCEEDED, *UNFINISHED):
            return False
        return detect.pid in self._there(laid)

    def joined_by(
        self, laid: LaidOut, grown_by: Collection[int] = (), *, keeps_failures: bool = False
    ) -> dict[int, int] | None:
        """PIDs of a new graph's processes that are here: of theirs; None where others are missing than what can join.

        What joins waits for what is here as for any other process, so that it need not have ended. ``grown_by``: PIDs
        that can join besides, where frames came.
        """
        found = self._there(laid, lambda one: keeps_failures or _is_to_count_on(one))
        whole = laid.without_branches(found)
        can_join = all(p.pid in found or p.pid in grown_by or STEPS[p.command].joins for p in whole)
        return found if can_join else None

    def _there(self, laid: LaidOut, counts: Callable[[Keyed], bool] = bool) -> dict[int, int]:
        return laid.closed({p.pid: one.pid for p in laid.processes if (one := self.of(p)) and counts(one)})

    def taken_over_by(self, laid: LaidOut, deleted: Collection[str]) -> dict[int, int]:
        """PIDs of a new graph's processes whose results it takes over: of those that made them.

        ``deleted``: kinds of images of which this graph has lost files; what opens them needs them made again.
        """
        found = {
            process.pid: one.pid
            for process in laid.processes
            if (one := self.of(process)) and _is_result(one) and can_be_taken_over(STEPS[process.command])
        }
        while True:
            found = laid.closed(found)
            missing = {process.command for process in laid.processes if process.pid not in found}
            steps = [STEPS[command] for command in missing]
            lost = {kind for step in steps for kind in (*step.opens, *step.uses)} & set(deleted)
            kept = {
                process.pid: found[process.pid]
                for process in laid.processes
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


def is_unfinished(one: Keyed) -> bool:
    """Whether its end is still to come."""
    return one.status in UNFINISHED


def is_failure(one: Keyed) -> bool:
    """Whether somebody should look at it. A single frame that is no good is none: the others stand without it."""
    if STEPS[one.command].each is Each.FRAME and _is_result(one):
        return False
    return one.status in UNSUCCESSFUL


def formers(session: Session, keyed: Sequence[Keyed], laid: LaidOut) -> list[Former]:
    """Earlier graphs of an observation with what they have of a new one, the newest first.

    ``keyed``: its processes whose keys are known, in order of PID. Those whose results are not those of their keys are
    left out, and those that wait for an image of another site in vain, of which no key knows.
    """
    keys = {process.result_key for process in laid.processes}
    found = [one for one in keyed if one.result_key in keys]
    left_out = unlike_their_keys(session, [one.pid for one in found])
    left_out |= skipped_behind(session, TRANSFER.command, [one.pid for one in found if one.status == SKIPPED])
    by_graph: dict[int, dict[str, Keyed]] = {}
    for one in found:
        if one.pid not in left_out:
            by_graph.setdefault(one.graph_pid, {})[one.result_key] = one
    return [Former(graph_pid, by_graph[graph_pid]) for graph_pid in sorted(by_graph, reverse=True)]


def locked(session: Session, former: Former) -> Former:
    """The same as it is now: nobody removes or revives anything of it any more, until the transaction ends."""
    ends = adopting.lock_graph(session, former.graph_pid)
    left_out = unlike_their_keys(session, [one.pid for one in former.by_key.values()])
    by_key = {
        key: one if (one.status, one.error_class) == end else one._replace(status=end[0], error_class=end[1])
        for key, one in former.by_key.items()
        if (end := ends.get(one.pid)) is not None and one.pid not in left_out
    }
    return Former(former.graph_pid, by_key)
