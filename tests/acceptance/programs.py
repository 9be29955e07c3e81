"""Run Tianyu's programs as a user does: as processes, with an environment of their own."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.forked import Program, run_program, run_started

RUN_TIMEOUT_S = 600


@dataclass
class Programs:
    """The programs of one installation: its settings are in the environment; logs go to a folder."""

    environment: dict[str, str]
    logs: Path
    running: list[Program] = field(default_factory=list)
    of_another_checkout: bool = False

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; one that fails fails the test with what it said."""
        run = run_started if self.of_another_checkout else run_program
        result = run(arguments, os.environ | self.environment, RUN_TIMEOUT_S)
        if check and result.returncode:
            raise AssertionError(f"tianyu {' '.join(arguments)} failed:\n{result.stdout}\n{result.stderr}")
        return result

    def start(self, *arguments: str) -> Program:
        """Start a program that runs until it is stopped."""
        log = self.logs / f"{len(self.running)}-{arguments[0]}.log"
        program = Program(arguments, os.environ | self.environment, log)
        self.running.append(program)
        return program

    def stop(self) -> None:
        """Kill what still runs."""
        for program in self.running:
            program.kill()
            program.wait()
