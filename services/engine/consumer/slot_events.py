"""What happens to a slot. What it hears of its worker (``messages``) are events too."""

from dataclasses import dataclass

from schema.attempts import Claim
from services.engine.broker import Delivery
from services.engine.consumer.messages import Died, Ready, Report, Saving


@dataclass(frozen=True)
class Given:
    """The broker has delivered a message."""

    delivery: Delivery


@dataclass(frozen=True)
class Claimed:
    """The database has given the process and its lease."""

    delivery: Delivery
    claim: Claim


@dataclass(frozen=True)
class Duplicate:
    """The database has nothing to claim: the message came twice or late."""

    delivery: Delivery


@dataclass(frozen=True)
class Misdirected:
    """The process is of another site or group than the queue: somebody put the message into the wrong one."""

    delivery: Delivery


@dataclass(frozen=True)
class Refused:
    """The pipe did not take a claim that was to wait in it."""

    claim: Claim


@dataclass(frozen=True)
class Looked:
    """The worker process lives: whether its imports are done, and the memory that it holds, where somebody asked."""

    ready: bool
    memory_bytes: int | None = None


@dataclass(frozen=True)
class LeaseLost:
    """The database has given the process to somebody else, or taken it back."""

    claim: Claim


@dataclass(frozen=True)
class Silent:
    """The worker has not reported in the time that is left to it after its lease was lost."""

    claim: Claim


@dataclass(frozen=True)
class Recalled:
    """The connection was closed by which messages came: those that nobody has claimed went back to the queue."""


@dataclass(frozen=True)
class Leave:
    """Finish what is held and begin nothing."""


Event = (
    Given
    | Claimed
    | Duplicate
    | Misdirected
    | Refused
    | Looked
    | Ready
    | Saving
    | Report
    | Died
    | LeaseLost
    | Silent
    | Recalled
    | Leave
)
