"""Limits of one attempt: how long its step may take and how much memory its worker may hold."""

import os
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path

from services.deployment import Deployment

DEFAULT = "default"
MEMORY_SHARE = 0.8  # of this machine's, where the settings name no limit: the kernel's choice of a victim is worse
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
LOOK_EVERY_S = 0.2  # at the memory of a worker that has a limit


def resident_bytes(pid: int) -> int | None:
    """Memory that a process holds now; None where the platform does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def machine_bytes() -> int | None:
    """Memory of this machine, or of the container if that is less; None where the platform does not tell."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None
    try:
        return min(whole, int(CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):  # there is none, or it says `max`
        return whole


@dataclass(frozen=True)
class Limits:
    """Of a command; None means that there is none."""

    seconds: float | None
    memory_bytes: int | None

    @classmethod
    def of(cls, deployment: Deployment, command: str) -> "Limits":
        """Those that the settings name for the command, else the default's, else of memory the machine's share."""
        memory = deployment.memory_limit_bytes
        whole = machine_bytes()
        share = None if whole is None else int(MEMORY_SHARE * whole)
        return cls(deployment.time_limit_of(command), memory.get(command, memory.get(DEFAULT, share)))

    def next_look_s(self, worked_s: float) -> float:
        """Seconds until a step that has worked for ``worked_s`` may be over a limit; infinite where there is none."""
        until_late_s = inf if self.seconds is None else self.seconds - worked_s
        return until_late_s if self.memory_bytes is None else min(until_late_s, LOOK_EVERY_S)

    def exceeded(self, worked_s: float, held_bytes: int | None) -> str | None:
        """What limit is exceeded and what to do, or None; ``held_bytes`` None: unknown."""
        if self.seconds is not None and worked_s >= self.seconds:
            return f"it was not done within its time limit of {self.seconds:g} s; raise time_limit_s if it needs more"
        if self.memory_bytes is not None and held_bytes is not None and held_bytes > self.memory_bytes:
            return (
                f"its worker held {held_bytes / 1e6:.0f} MB, more than its memory limit of "
                f"{self.memory_bytes / 1e6:.0f} MB; raise memory_limit_bytes if it needs more"
            )
        return None
