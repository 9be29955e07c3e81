"""Run Tianyu's programs as a user does: as processes, with an environment of their own."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

RUN_TIMEOUT_S = 600


@dataclass
class Programs:
    """The programs of one installation: its settings are in the environment; logs go to a folder."""

    environment: dict[str, str]
    logs: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; one that fails fails the test with what it said."""
        result = subprocess.run(
            [sys.executable, "-m", "services.cli.app", *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
        if check and result.returncode:
            raise AssertionError(f"tianyu {' '.join(arguments)} failed:\n{result.stdout}\n{result.stderr}")
        return result

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a program that runs until it is stopped."""
        with (self.logs / f"{len(self.running)}-{arguments[0]}.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.cli.app", *arguments],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.running.append(process)
        return process

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self.running:
            process.kill()
            process.wait()
