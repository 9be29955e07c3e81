"""What can be seen of a state, from the model or from the database, and what must hold in every state."""

from dataclasses import dataclass

from schema.processes import FINISHED, QUEUED, RUNNING, SKIPPED, SUCCEEDED, WAITING
from tests.model.reference import UNSUCCESSFUL, Message, Model, Queue


@dataclass(frozen=True)
class Seen:
    """A process. What means nothing in its state is None: the database may keep anything there."""

    status: str
    attempt: int
    max_attempts: int
    pending: int | None
    propagated: bool | None
    sent: bool | None
    delayed: bool | None
    slow: int | None


@dataclass(frozen=True)
class Facts:
    """All that is in the database."""

    processes: dict[int, Seen]
    leases: dict[Message, tuple[str, bool]]  # worker, expired
    attempts: dict[Message, str | None]
    outputs: list[Message]
    origins: dict[int, int]
    paused: set[Queue]


def seen(
    status: str,
    attempt: int,
    max_attempts: int,
    *,
    pending: int,
    propagated: bool,
    sent: bool,
    delayed: bool,
    slow: int | None,
) -> Seen:
    """A process with what its state makes meaningful."""
    return Seen(
        status,
        attempt,
        max_attempts,
        pending if status not in FINISHED else None,
        propagated if status in FINISHED else None,
        sent if status == QUEUED else None,
        delayed if status == WAITING else None,
        slow,
    )


def facts_of(model: Model) -> Facts:
    """What the database should hold."""
    processes = {
        pid: seen(
            row.status,
            row.attempt,
            row.max_attempts,
            pending=row.pending,
            propagated=row.propagated,
            sent=row.sent,
            delayed=row.delayed,
            slow=row.slow,
        )
        for pid, row in sorted(model.rows.items())
    }
    leases = {held: (lease.worker, lease.expired) for held, lease in sorted(model.leases.items())}
    attempts, origins = dict(sorted(model.attempts.items())), dict(sorted(model.origins.items()))
    return Facts(processes, leases, attempts, sorted(model.outputs), origins, set(model.paused))


Dependences = dict[int, tuple[tuple[int, ...], tuple[int, ...]]]  # PID: required, optional


def check(facts: Facts, dependences: Dependences) -> None:
    """What holds in every state, said of the facts alone: it would catch a fault that the model shares."""
    for pid, origin in facts.origins.items():
        assert facts.processes[pid].status == SUCCEEDED, f"process {pid} took over {origin} and did not succeed"
        assert facts.processes[origin].status == SUCCEEDED, f"process {pid} took over {origin}, which did not succeed"
    for pid, process in facts.processes.items():
        required, optional = dependences[pid]
        parents = {parent: facts.processes[parent] for parent in (*required, *optional)}
        uncounted = sum(not parent.propagated for parent in parents.values())
        lost = [p for p in required if parents[p].status in UNSUCCESSFUL]
        where = f"process {pid}: {process}, parents {parents}"
        if process.status == WAITING:
            # Fewer only where an optional parent was sent back after its child had been taken; then it is 0.
            assert process.pending in (0, uncounted), where
            if process.pending != uncounted:
                assert all(parents[p].propagated for p in required), where
            assert not [p for p in lost if parents[p].propagated], f"it was not skipped: {where}"
        elif process.status == SKIPPED:
            assert lost, f"it was skipped without a reason: {where}"
        elif process.status in (QUEUED, RUNNING, SUCCEEDED):
            assert all(parents[p].status == SUCCEEDED for p in required), where
            assert process.pending in (0, None), where
        mine = sorted(attempt for owner, attempt in facts.attempts if owner == pid)
        assert mine == list(range(1, len(mine) + 1)), where
        successes = [(pid, attempt) for attempt in mine if facts.attempts[pid, attempt] == SUCCEEDED]
        assert successes == ([(pid, process.attempt)] if process.status == SUCCEEDED else []), where
        assert [output for output in facts.outputs if output[0] == pid] == successes, where
        # Of what succeeded the attempt that did, else the newest.
        assert process.status == SUCCEEDED or process.attempt == len(mine), where
        assert process.slow is None or process.status not in FINISHED, where
        at_work = {process.attempt} if process.status == RUNNING else set()
        at_work |= set() if process.slow is None else {process.slow}
        assert {attempt for attempt in mine if facts.attempts[pid, attempt] is None} == at_work, where
        assert {attempt for owner, attempt in facts.leases if owner == pid} == at_work, where
