"""What is published: processes of the command `check`, which does nothing, in the shapes that are measured."""

from datetime import UTC, datetime
from itertools import islice, pairwise

from schema.queries.publishing import NewProcess, pids_from

DEPENDENCIES_OF_SCALE = 10  # of each process in a band


def pids(count: int) -> list[int]:
    """PIDs of a new graph, one after the other without a gap."""
    return list(islice(pids_from(datetime.now(UTC)), count))


def check(pid: int, graph: int, required: tuple[int, ...] = (), priority: int = 0) -> NewProcess:
    """A process without work."""
    return NewProcess(
        pid=pid,
        graph_pid=graph,
        command="check",
        parameters="{}",
        group="cpu",
        observation_id=None,
        required=required,
        priority=priority,
    )


def independent(count: int, priority: int = 0) -> list[NewProcess]:
    """Processes that need nothing."""
    own = pids(count)
    return [check(pid, own[0], priority=priority) for pid in own]


def chain(length: int) -> list[NewProcess]:
    """Processes of which each needs the one before."""
    own = pids(length)
    return [check(own[0], own[0]), *(check(pid, own[0], (before,)) for before, pid in pairwise(own))]


def band(count: int, distance: int, dependencies: int) -> list[NewProcess]:
    """Processes of which each needs ``dependencies`` neighbours, the last of them ``distance`` before itself.

    The first ``distance`` are ready at once; from then on each end makes others ready, to the last: there is no process
    that everything waits for.
    """
    own = pids(count)
    return [
        check(pid, own[0], tuple(own[max(index - distance - dependencies + 1, 0) : max(index - distance + 1, 0)]))
        for index, pid in enumerate(own)
    ]


def edges(processes: list[NewProcess]) -> int:
    """Dependencies of a graph."""
    return sum(len(process.required) + len(process.optional) for process in processes)
