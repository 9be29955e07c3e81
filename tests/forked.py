"""Programs of Tianyu without their start: each is a fork of one process that has imported what they need, and no more.

An interpreter with these imports takes more of the processor than most commands of a test do. All else is as in a
program that was started: a process, environment, output and exit code of its own. `test_forked` compares the two.
"""

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

# What knows the width of a terminal is imported by each command: it asks its own output.
IMPORTED = (
    "alembic.command",
    "astropy.io.fits",
    "matplotlib.figure",
    "pika",
    "pymysql",
    "rich.progress",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.spatial",
    "scipy.special",
    "services.engine.consumer.consumer",
    "services.engine.consumer.worker",
    "services.engine.manager.manager",
    "services.engine.publisher.publish",
    "services.engine.publisher.rerun",
    "services.ingest.given_files",
    "services.operating.live.watching",
    "services.operating.reduction",
    "services.operating.status",
    "services.results.summary.numbers",
    "services.setup",
    "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.sqlite",
    "typer.rich_utils",
)
START_POLL_S = 0.005
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([*IMPORTED])


class Program:
    """One that runs, in the current folder; `subprocess.Popen` as far as tests use it."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        output: Path,
        errors: Path | None = None,
        *,
        own_session: bool = False,
    ) -> None:
        """What it says is added to the files ``output`` and ``errors``, which may be one."""
        self.arguments = arguments
        self._process = _FORKS.Process(
            target=_be_program,
            args=(arguments, dict(environment), Path.cwd(), output, errors or output, own_session),
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        while own_session and self.returncode is None and os.getpgid(self.pid) != self.pid:
            time.sleep(START_POLL_S)

    @property
    def returncode(self) -> int | None:
        """Of its end, minus the signal that ended it; None while it lives."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it took longer.
        """
        self._process.join(timeout)
        if self.returncode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(["tianyu", *self.arguments], timeout)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing where it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def run_program(
    arguments: tuple[str, ...], environment: Mapping[str, str], timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder, "stdout"), Path(folder, "stderr")
        program = Program(arguments, environment, *outputs)
        try:
            code = program.wait(timeout_s)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
            raise
        return subprocess.CompletedProcess(["tianyu", *arguments], code, *(path.read_text() for path in outputs))


def run_started(
    arguments: tuple[str, ...], environment: Mapping[str, str], timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """The same by an interpreter of its own, as a user starts it; with the code that it finds first."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli.app", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def _be_program(
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    folder: Path,
    output: Path,
    errors: Path,
    own_session: bool,
) -> NoReturn:
    if own_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    for number, path in ((1, output), (2, errors)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # line by line
    if "PYTHONFAULTHANDLER" in environment:
        faulthandler.enable()
    from services.cli import app

    sys.argv = [str(app.__file__), *arguments]
    sys.modules["__main__"] = app  # as where it was started; who it spawns imports it
    app.main()
    sys.exit()
