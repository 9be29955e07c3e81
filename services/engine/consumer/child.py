"""A consumer's handle on its worker process: start it, give it claims, hear it, and replace it when it is dead."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from schema.attempts import Claim
from services.deployment import Deployment
from services.engine.consumer.messages import Died, Ready, Report, Saving

START_TIMEOUT_S = 120.0
# Read by libraries when they are loaded.
ENVIRONMENT = {
    # glibc gives large arrays back to the system at once and asks for them again at the next line, page by page; a
    # worker that keeps them saves 5-10 ms a frame of 2048 x 2048. Other C libraries do not know these names. In bytes:
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),  # the largest that glibc accepts
    "MALLOC_TRIM_THRESHOLD_": str(384 * 1024**2),
    # numpy's linear algebra would start a thread for each core, and they wait for each other by spinning: with small
    # matrices that burns more than it gives. Cores are used by more workers.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
# A forked child would inherit the broker's socket and the locks of other threads.
SPAWN = multiprocessing.get_context("spawn")


class Child:
    """One worker process, started anew when it has died."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self.ready = False  # its imports are done
        self._started = 0.0

    def start(self) -> None:
        """Start the process without waiting for it: its imports take about a second."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)  # read by a process when it starts, so that ours is not changed
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=serve, args=(theirs, self._deployment), name="tianyu-worker", daemon=True)
        process.start()
        theirs.close()
        self._process, self._pipe, self.ready, self._started = process, ours, False, time.monotonic()

    def submit(self, claim: Claim) -> Died | None:
        """Hand over a claim to begin with; a process that is still starting takes it when it is ready."""
        if self._process is None or not self._process.is_alive():
            self.kill()
            self.start()
        if self.submit_next(claim):
            return None
        return Died(f"the worker process did not start: {self._bury()}", at_work=False)

    def submit_next(self, claim: Claim) -> bool:
        """Hand over a claim for after the one in work; False when the process has died."""
        assert self._pipe is not None
        try:
            self._pipe.send(claim)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        """Becomes readable when the process has something to say, or has died."""
        assert self._pipe is not None
        return self._pipe.fileno()

    def hear(self) -> Ready | Saving | Report | Died:
        """What the readable pipe says."""
        assert self._pipe is not None
        try:
            message = self._pipe.recv()
        except (EOFError, OSError):
            at_work = self.ready  # one that never began has nothing to do with the claim
            return Died(self._bury(), at_work)
        assert isinstance(message, Ready | Saving | Report)
        self.ready = True  # its first message says so
        return message

    def late(self) -> Died | None:
        """The end of a process that does not become ready."""
        if self.ready or time.monotonic() - self._started < START_TIMEOUT_S:
            return None
        self.kill()
        return Died(f"the worker process did not start within {START_TIMEOUT_S:.0f} s", at_work=False)

    def _bury(self) -> str:
        """Why the process has ended."""
        assert self._process is not None
        self._process.join(timeout=10)
        code = self._process.exitcode
        self.kill()
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"the worker process was ended by {name}{hint}"
        return f"the worker process left with exit code {code}; its log has the reason"

    @property
    def pid(self) -> int:
        """The operating system's number of the process."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """End the process at once; the next claim starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process, self._pipe, self.ready = None, None, False


def serve(connection: Connection, deployment: Deployment) -> None:
    """Main of the worker process. The steps and their libraries are imported here, in the child alone."""
    from services.engine.consumer.worker import serve as serve_worker

    serve_worker(connection, deployment)


@contextmanager
def children(deployment: Deployment, number: int) -> Iterator[list[Child]]:
    """So many worker processes, which import what they need meanwhile; at the end they are killed.

    They take no other signal: what they did is committed, and what they may still do is fenced by its lease.
    """
    workers = [Child(deployment) for _ in range(number)]
    try:
        for worker in workers:
            worker.start()
        yield workers
    finally:
        for worker in workers:
            worker.kill()
