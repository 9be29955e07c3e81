"""Programs and their seconds."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Used:
    """Seconds from start to end; of CPU, of the program and all that it started and waited for."""

    wall: float
    cpu: float


def run(command: list[str], log: Path) -> Used:
    """Run a program to its end, its output in ``log``; ends this one where it fails."""
    start = time.perf_counter()
    with log.open("w") as output:
        # Not `run`: what the program used is known only to who waits for it.
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return Used(time.perf_counter() - start, usage.ru_utime + usage.ru_stime)
