"""An attempt at a process, as it goes between programs: plain values, for those who have no database at hand."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """What a worker needs to know of the process that it holds."""

    pid: int
    attempt: int
    max_attempts: int
    command: str
    parameters: str  # JSON, validated by the step
    graph_pid: int
    observation_id: int | None
    choices_id: int | None  # None: published by a version that stored none
    slow_attempt: int | None = None  # an earlier one that was still at work when this began

    @property
    def beside(self) -> bool:
        """Whether the process may end without this attempt."""
        return self.slow_attempt not in (None, self.attempt)


@dataclass(frozen=True)
class Usage:
    """What an attempt cost; None where the platform does not tell."""

    seconds: float
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    rows: int | None = None  # that were inserted; told, and not stored


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended without success, by class: transient, surroundings, data, configuration, bug or poison."""

    error_class: str
    message: str
    traceback: str | None = None


# Hears of each attempt that ended: what it cost (None: not known), and `SUCCEEDED`, `LOST` or the error's class.
NoteEnd = Callable[[Claim, Usage | None, str], object]
