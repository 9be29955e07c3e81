"""CPU time and memory of programs and servers on this machine, as the kernel counts them."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
DATABASE, BROKER = "database server, for whomever", "broker, for whomever"
# By the name of the program; a server on another machine is not seen, and its row is left out.
SERVERS = {"mariadbd": DATABASE, "mysqld": DATABASE, "beam.smp": BROKER}


def _stat(pid: int) -> tuple[str, list[str]]:
    """Name of a program and the fields after it in /proc/PID/stat, from its state on."""
    head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    return head.partition("(")[2], tail.split()


def cpu_seconds(pid: int) -> float:
    """User and system time of one process; 0 when it is gone."""
    with suppress(OSError):
        _, fields = _stat(pid)
        return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
    return 0.0


def children(pid: int) -> list[int]:
    """Processes that any thread of ``pid`` started."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return found


def server_pids() -> dict[int, str]:
    """The servers that run here, by what they are."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, _ = _stat(int(folder.name))
            if name in SERVERS:
                found[int(folder.name)] = SERVERS[name]
    return found


def snapshot(programs: Mapping[str, Sequence[int]], *, servers: bool = True) -> dict[str, float]:
    """CPU seconds until now of programs, of their children (as "workers of NAME") and of the servers.

    What the servers do for others is in it.
    """
    seconds: dict[str, float] = {}

    def add(name: str, pid: int) -> None:
        seconds[name] = seconds.get(name, 0.0) + cpu_seconds(pid)

    for name, pids in programs.items():
        for pid in pids:
            add(name, pid)
            for child in children(pid):
                add(f"workers of {name}", child)
    for pid, name in server_pids().items() if servers else ():
        add(name, pid)
    return seconds


def peak_bytes(pid: int) -> int:
    """Peak resident memory of a process in its life."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/{pid}/status tells no peak memory (VmHWM)")
