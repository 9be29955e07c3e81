"""Where the cores' time went between two readings: our programs, the servers, others, the disk, nobody."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench.consumers.servers import BROKER, DATABASE

FULL = 0.9  # of what there is: more is seldom seen
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Machine:
    """Seconds of all cores since it started."""

    idle: float
    waiting: float  # for a disk, with nothing else to do
    busy: float

    @classmethod
    def now(cls) -> "Machine":
        first = Path("/proc/stat").read_text().partition("\n")[0]
        user, nice, system, idle, waiting, *interrupts = (int(ticks) / TICKS_A_SECOND for ticks in first.split()[1:8])
        return cls(idle, waiting, user + nice + system + sum(interrupts))


@dataclass(frozen=True)
class Cores:
    """Mean number of cores by whom they were used."""

    seconds: float  # between the readings
    programs: dict[str, float]  # workers, consumers, manager, MariaDB, RabbitMQ
    others: float
    waiting: float
    idle: float

    @classmethod
    def between(cls, before: Machine, after: Machine, programs: dict[str, float], seconds: float) -> "Cores":
        """Of readings so many seconds apart; ``programs``: CPU seconds of ours."""
        ours = {name: used / seconds for name, used in programs.items()}
        busy = (after.busy - before.busy) / seconds
        waiting, idle = (after.waiting - before.waiting) / seconds, (after.idle - before.idle) / seconds
        return cls(seconds, ours, max(busy - sum(ours.values()), 0.0), waiting, idle)

    @property
    def own(self) -> float:
        """Of all of our programs and servers."""
        return sum(self.programs.values())

    def limit(self, consumers: int, cores: float = CORES) -> str:
        """What the night could not be faster for."""
        if self.own + self.others >= FULL * cores:
            whose = f", {self.others:.1f} cores of it other programs'" if self.others > (1 - FULL) * cores else ""
            return f"CPU{whose}"
        if self.waiting >= (1 - FULL) * cores:
            return "disk"
        for server in (DATABASE, BROKER):
            if self.programs[server] >= FULL:
                return f"{server}: one core"
        if self.programs["workers"] >= FULL * consumers:
            return "the workers: one each, always at work"
        return "waiting: for steps that go alone, for messages and commits"
