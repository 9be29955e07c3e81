"""A consumer's handle on its worker process: start it, give it claims, hear it, and replace it when it is dead."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection

from schema.attempts import Claim
from services.deployment import Deployment
from services.engine.consumer.messages import ASK_TO_END, Died, Ready, Report, Saving
from services.engine.forked import have_no_threads, is_safe_to_fork, keep_what_is_imported

START_TIMEOUT_S = 120.0
# A forked child has what this program has imported, for nothing; but also the locks that other threads hold.
FORK, SPAWN = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")


class Child:
    """One worker process, started anew when it has died."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self.ready = False  # its imports are done
        self._started = 0.0

    def start(self, others: Sequence["Child"] = ()) -> None:
        """Start the process without waiting for it: its imports may take seconds.

        ``others``: that were started before; with their ends of pipes it would keep them from hearing that we died.
        """
        context = FORK if is_safe_to_fork() else SPAWN
        ours, theirs = context.Pipe()
        inherited = [ours, *(other._pipe for other in others if other._pipe)] if context is FORK else []
        process = context.Process(
            target=serve, args=(theirs, self._deployment, inherited), name="tianyu-worker", daemon=True
        )
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

    def ask_to_end(self) -> None:
        """Tell the process that the consumer leaves: an exposure is broken off, all else is finished."""
        if self.ready and self._process is not None and self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, ASK_TO_END)

    def kill(self) -> None:
        """End the process at once; the next claim starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process, self._pipe, self.ready = None, None, False


def serve(connection: Connection, deployment: Deployment, inherited: Sequence[Connection]) -> None:
    """Main of the worker process. A spawned one imports the steps and their libraries here."""
    for other in inherited:
        other.close()
    from services.engine.consumer.worker import serve as serve_worker

    serve_worker(connection, deployment)


def import_for_all(deployment: Deployment) -> None:
    """Import what workers need before they are forked."""
    from services.steps import preload

    import_module("services.engine.consumer.worker")
    if not deployment.database_url.get_secret_value().startswith("sqlite"):
        import_module("schema.driver")
    preload()
    keep_what_is_imported()


@contextmanager
def children(deployment: Deployment, number: int) -> Iterator[list[Child]]:
    """So many worker processes; at the end they are killed. To be called before other threads are started.

    They take no other signal: what they did is committed, and what they may still do is fenced by its lease.
    """
    have_no_threads()
    if is_safe_to_fork():
        import_for_all(deployment)
    workers = [Child(deployment) for _ in range(number)]
    try:
        for count, worker in enumerate(workers):
            worker.start(workers[:count])
        yield workers
    finally:
        for worker in workers:
            worker.kill()
