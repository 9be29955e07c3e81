"""Programs that are forks of this one: what it has imported they have for nothing."""

import fcntl
import gc
import math
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

OPEN_FILES = Path("/proc/self/fd")
THREADS = Path("/proc/self/task")  # of this program, those of libraries too; elsewhere than on Linux fork is not safe
# numpy's linear algebra would start a thread for each core, and they wait for each other by spinning: with small
# matrices that burns more than it gives. Cores are used by more workers. Read by the libraries when they are loaded.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
STANDARD_ERROR = 2  # its file descriptor, the last that every program has
WAIT_POLL_S = 0.01


def have_no_threads() -> None:
    """Keep libraries that are loaded from now on from starting threads."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def keep_what_is_imported() -> None:
    """Imports are done: what there is by now is not looked through for garbage, its pages stay shared with forks.

    A program that had not looked for garbage since `embedded.start_faster` does so from now on.
    """
    gc.freeze()
    gc.enable()


def is_safe_to_fork() -> bool:
    """Whether this is Linux, and no other thread of this program can hold a lock."""
    return THREADS.is_dir() and len(list(THREADS.iterdir())) == 1


def call_yourself(name: str) -> None:
    """The name that `top` shows of this process, of 15 characters at most."""
    with suppress(OSError):  # no Linux
        Path("/proc/self/comm").write_text(name)


class Forked:
    """A program that was forked; `subprocess.Popen` as far as it is needed.

    Of the files of this program it keeps none: its input is a pipe from here, and its output goes to ``output``.
    """

    def __init__(self, main: Callable[[], None], output: BinaryIO) -> None:
        """``main`` is the whole program; to be called where it `is_safe_to_fork`."""
        orders, ours = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _be_program(main, orders, output.fileno())
        os.close(orders)
        self.stdin = os.fdopen(ours, "wb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Exit code, minus the signal that ended it; None while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = math.inf) -> int:
        """Exit code, as soon as there is one.

        Raises:
            subprocess.TimeoutExpired: it lives longer than so many seconds.
        """
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(WAIT_POLL_S)
        return code

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _be_program(main: Callable[[], None], orders: int, output: int) -> NoReturn:
    """Run ``main`` as if it had been started; nothing of what this program would do at its own end is done."""
    code = 1
    try:
        files = [fcntl.fcntl(file, fcntl.F_DUPFD, STANDARD_ERROR + 1) for file in (orders, output, output)]
        for here, there in enumerate(files):
            os.dup2(there, here)
        for number in [int(path.name) for path in OPEN_FILES.iterdir()]:
            if number > STANDARD_ERROR:
                with suppress(OSError):  # that of the list itself
                    os.close(number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
        main()
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        else:
            code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
