"""The programs under measurement: started with logs, watched while they work, ended with all that they started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0  # without anything happening
POLL_S = 0.1
LEAVE_S = 20.0  # for a program that was asked to leave


class BenchError(RuntimeError):
    """The measurement cannot go on; the message says why."""


def end(programs: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask programs to leave, and end whatever is left of their sessions."""
    for program in programs:
        with suppress(ProcessLookupError):
            os.kill(program.pid, signal.SIGCONT)
            program.terminate()
    deadline = time.monotonic() + LEAVE_S
    for program in programs:
        with suppress(subprocess.TimeoutExpired):
            program.wait(max(deadline - time.monotonic(), 0.1))
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)  # workers, and the program itself if it would not
        program.wait()


class Programs:
    """Programs in sessions of their own, so that Ctrl-C reaches the bench alone, which then ends them in order."""

    def __init__(self, environment: dict[str, str], logs: Path) -> None:
        self.environment = environment
        self._logs = logs
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        """Run ``python -m COMMAND``."""
        with (self._logs / f"{len(self.running)}-{name}.log").open("wb") as output:
            program = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self.environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.running.append(program)
        return program

    def tails(self) -> str:
        """The last words of each program."""
        return "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in sorted(self._logs.iterdir()))

    def wait_until(
        self, condition: Callable[[], bool], progress: Callable[[], object], every_s: float = POLL_S
    ) -> None:
        """Wait for ``condition``, for as long as ``progress`` changes and all programs live."""
        seen, deadline = progress(), time.monotonic() + PATIENCE_S
        while not condition():
            time.sleep(every_s)
            dead = [program.args for program in self.running if program.poll() is not None]
            if dead:
                raise BenchError(f"{dead} ended before it should; the logs end with\n{self.tails()}")
            if time.monotonic() > deadline:
                if progress() == seen:
                    raise BenchError(f"nothing happened within {PATIENCE_S:.0f} s; the logs end with\n{self.tails()}")
                seen, deadline = progress(), time.monotonic() + PATIENCE_S
