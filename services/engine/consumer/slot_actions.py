"""What a slot can do. Some actions are answered by an event, which their docstring names."""

from dataclasses import dataclass

from schema.attempts import Claim, Failure, Usage
from services.engine.broker import Delivery


@dataclass(frozen=True)
class TryClaim:
    """Ask the database for the process: ``Claimed``, ``Duplicate``, ``Misdirected``, or ``Leave`` when it was not asked
    any more.
    """

    delivery: Delivery


@dataclass(frozen=True)
class Submit:
    """Hand the worker a claim to begin with, and start the worker where it is dead: ``Died`` if that fails."""

    claim: Claim


@dataclass(frozen=True)
class SubmitNext:
    """Let a claim wait in the pipe behind the one in work: ``Refused`` if it cannot."""

    claim: Claim


@dataclass(frozen=True)
class Settle:
    """Tell the broker that the message is taken; it then sends another."""

    delivery: Delivery


@dataclass(frozen=True)
class HandOn:
    """Have the message sent once more, for who is free; this one still waits, so that the broker sends no more."""

    delivery: Delivery


@dataclass(frozen=True)
class Forget:
    """Count the message no more: it is back in the queue."""

    delivery: Delivery


@dataclass(frozen=True)
class Reject:
    """Have the broker put the message aside: it is not for this queue."""

    delivery: Delivery


@dataclass(frozen=True)
class Tell:
    """Tell the manager that the process has ended."""

    delivery: Delivery


@dataclass(frozen=True)
class Renew:
    """Renew the lease: ``LeaseLost`` if it is no longer there."""

    claim: Claim


@dataclass(frozen=True)
class NoteSuccess:
    """Log that the worker has committed the process."""

    claim: Claim
    usage: Usage


@dataclass(frozen=True)
class RecordFailure:
    """Write the end of the attempt; ``killed``: it ended its worker."""

    claim: Claim
    failure: Failure
    usage: Usage
    killed: bool


@dataclass(frozen=True)
class AwaitLastWord:
    """Hear the worker out, which may just have committed: ``Report``, ``Died`` or ``Silent``."""

    claim: Claim


@dataclass(frozen=True)
class Drop:
    """Kill the worker of a lost lease; the attempt is no longer ours to end."""

    claim: Claim


@dataclass(frozen=True)
class RestartWorker:
    """Kill the worker, and start another so that the next claim does not wait for its imports."""


Action = (
    TryClaim
    | Submit
    | SubmitNext
    | Settle
    | HandOn
    | Forget
    | Reject
    | Tell
    | Renew
    | NoteSuccess
    | RecordFailure
    | AwaitLastWord
    | Drop
    | RestartWorker
)
