"""Limits of one attempt: how long its step may take and how much memory its worker may hold."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from services.settings import Settings

DEFAULT = "default"
LOOK_EVERY_S = 0.2  # at the memory of a worker that has a limit


def resident_bytes(pid: int) -> int | None:
    """Memory that a process holds now; None where the platform does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """Of a command; None means that there is none."""

    seconds: float | None
    memory_bytes: int | None

    @classmethod
    def of(cls, settings: Settings, command: str) -> "Limits":
        """Those that the settings name for the command, else the default's."""
        seconds, memory = settings.time_limit_s, settings.memory_limit_bytes
        return cls(seconds.get(command, seconds.get(DEFAULT)), memory.get(command, memory.get(DEFAULT)))


class Watch:
    """Watches one attempt from its start."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.restart()

    def restart(self) -> None:
        """Begin to count time: that in which the worker itself started is not the step's."""
        self._began = time.monotonic()

    def next_look_s(self, longest_s: float) -> float:
        """How long one may wait before looking again."""
        times = [longest_s]
        if self._limits.memory_bytes is not None:
            times.append(LOOK_EVERY_S)
        if self._limits.seconds is not None:
            times.append(max(self._began + self._limits.seconds - time.monotonic(), 0.0))
        return min(times)

    def exceeded(self, worker_pid: int) -> str | None:
        """What limit is exceeded and what to do, or None."""
        seconds, memory = self._limits.seconds, self._limits.memory_bytes
        if seconds is not None and time.monotonic() - self._began >= seconds:
            return f"it was not done within its time limit of {seconds:g} s; raise time_limit_s if it needs more"
        held = resident_bytes(worker_pid) if memory is not None else None
        if memory is not None and held is not None and held > memory:
            return (
                f"its worker held {held / 1e6:.0f} MB, more than its memory limit of {memory / 1e6:.0f} MB; "
                "raise memory_limit_bytes if it needs more"
            )
        return None
