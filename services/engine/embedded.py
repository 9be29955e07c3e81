"""The embedded mode: one process tree with a database file, a manager and a consumer; no server.

Everything is the real thing: the consumer is the same program that runs beside RabbitMQ. The state lies in the
working folder, so that a run that was interrupted, or killed, goes on where it was when it is started again.

Imports take most of a short run's start: the consumer is a fork of this program, made before there are threads and
connections, and its workers are forks of the consumer. Where that is not safe it is a program of its own:
`python -m services.engine.embedded 2` is a consumer of two workers, for all groups but the telescope's. These exposures
have a consumer of one worker to themselves.
"""

import atexit
import fcntl
import gc
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from pydantic import SecretStr

from services import log
from services.background_thread import BackgroundThread
from services.engine.forked import Forked, call_yourself, have_no_threads, is_safe_to_fork, keep_what_is_imported
from services.engine.stopping import on_stop
from services.errors import ConfigurationError, TianyuError
from services.settings import Settings, child_environment, load

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = log.get_logger("run")
DATABASE_FILE = "tianyu.db"
LOCK_FILE = "run.lock"
LOG_FOLDER, LOG_FILE, TELESCOPE_LOG_FILE = "logs", "consumer.log", "telescope.log"
CONSUMER_NAME = "tianyu-consumer"  # as `top` shows it
RELEASE = b"w"  # one byte
EMBEDDED_SWEEP_S = 1.0
EMBEDDED_LEASE_S = 30.0
STOP_TIMEOUT_S = 60.0
# New objects between two looks for garbage. What imports make stays: Python's own 700 cost a fifth of the start.
GARBAGE_OBJECTS = 50_000
MOST_WORKERS = 4  # by default: more than this and a laptop's disk is the limit
# Of the consumer, within so long; a step that crashes takes only its worker, so more mean something else.
MOST_RESTARTS, RESTARTS_WITHIN_S = 5, 3600.0


def start_faster() -> None:
    """Let this program start and end faster; to be called before it imports much.

    It looks for no garbage until `keep_what_is_imported`, seldom then, and not once more when it leaves; and libraries
    start no threads, so that it can fork.
    """
    have_no_threads()
    gc.disable()
    gc.set_threshold(GARBAGE_OBJECTS)
    atexit.register(gc.freeze)


if __name__ in ("__main__", "__mp_main__"):  # the consumer, or a worker that it spawns, before most of their imports
    start_faster()


def embedded_settings(workdir: Path, **overrides: Any) -> Settings:
    """Settings for a run in ``workdir``: database, broker, root and place are fixed, all else is as configured."""
    workdir = workdir.absolute()
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"working folder {str(workdir)!r} cannot be made: {error}; choose another --workdir"
        ) from error
    return load(
        # Quoted: a folder's name may hold what a URL takes for its own.
        database_url=SecretStr(f"sqlite:///{quote(str(workdir / DATABASE_FILE))}"),
        broker_url=SecretStr("local://"),
        root=workdir,
        placement={},
        sweep_s=EMBEDDED_SWEEP_S,
        lease_s=EMBEDDED_LEASE_S,
        **overrides,
    )


@contextmanager
def exclusive(workdir: Path) -> Iterator[None]:
    """Hold the working folder; two runs in one would take each other's workers for dead."""
    try:
        file = (workdir / LOCK_FILE).open("w")
    except OSError as error:
        raise ConfigurationError(
            f"working folder {str(workdir)!r} is not writable: {error}; choose another --workdir"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another `tianyu run` works in {str(workdir)!r}: wait for it, or choose another --workdir"
            ) from None
        yield


class Restarts:
    """How often within an hour: a night is long, and what happens now and then is no fault that comes again at once."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Count one more; False where there are too many. ``now``: seconds of one monotonic clock."""
        self._times.append(now)
        while now - self._times[0] > RESTARTS_WITHIN_S:
            self._times.popleft()
        return len(self._times) <= MOST_RESTARTS


class ConsumerProcess:
    """The consumer process of a run, started again when it dies. It waits for ``release`` before it works."""

    def __init__(self, settings: Settings, workers: int, groups: Sequence[str] = (), log_file: str = LOG_FILE) -> None:
        self._settings = settings
        self._workers, self._groups = workers, tuple(groups)
        self._log = settings.root / LOG_FOLDER / log_file
        self._log.parent.mkdir(exist_ok=True)
        self._restarts = Restarts()
        self._released = False
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes] | Forked":
        with self._log.open("ab") as output:
            process = self._fork(output) if is_safe_to_fork() else self._spawn(output)
        if self._released:
            _tell(process)
        return process

    def _fork(self, output: BinaryIO) -> Forked:
        for needed_by_both in ("services.setup", "services.steps"):
            import_module(needed_by_both)
        # What only workers need is imported by the consumer, while this program makes the database and reads headers.
        keep_what_is_imported()

        def main() -> None:
            try:
                consume(self._settings, sys.stdin.fileno(), self._workers, self._groups)
            except TianyuError as error:
                sys.exit(f"consumer: {error}")

        return Forked(main, output)

    def _spawn(self, output: BinaryIO) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603 - ours, a number, and names of groups
            (sys.executable, "-m", "services.engine.embedded", str(self._workers), *self._groups),
            env=child_environment(self._settings),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )

    def release(self) -> None:
        """The database is set up: let it work."""
        self._released = True
        _tell(self._process)

    def watch(self) -> None:
        """Start it again when it is dead.

        Raises:
            TianyuError: it dies too often.
        """
        if self._process.poll() is None:
            return
        logger.warning("consumer died, starting another", exit_code=self._process.returncode)
        if not self._restarts.allow(time.monotonic()):
            raise TianyuError(f"the consumer dies again and again: {self._log} has its last words")
        self._process = self._start()

    def dismiss(self) -> None:
        """Tell it to finish what it does and to leave, without waiting for it."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def stop(self) -> None:
        """Let it finish what it does, then leave."""
        self.dismiss()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _tell(process: "subprocess.Popen[bytes] | Forked") -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it died: `watch` starts another
        process.stdin.write(RELEASE)
        process.stdin.flush()


def consume(settings: Settings, orders: int, workers: int, groups: Sequence[str]) -> None:
    """Main of the consumer: get ready, wait for the word, work until ``orders`` end.

    ``orders`` is the file descriptor of a pipe, which ends with the run at the latest, however that ended. Without
    ``groups`` it works for all but the telescope's.

    Raises:
        TianyuError: the database cannot be used.
    """
    call_yourself(CONSUMER_NAME)
    log.configure(settings.log_format, settings.log_level)
    from services.engine.consumer.child import children

    with children(settings.deployment, workers) as started:
        from services.engine.consumer.consumer import Consumer
        from services.engine.tracing.traced import attempts_traced

        with attempts_traced(settings) as note_end:
            consumer = Consumer(settings, groups or settings.computer_groups(), started, note_end=note_end)

            def wait_for_the_end() -> None:
                os.read(orders, 1)
                consumer.stop()

            on_stop(consumer.stop)
            if not os.read(orders, 1):
                consumer.stop()  # the run has failed before it began
            threading.Thread(target=wait_for_the_end, daemon=True).start()
            keep_what_is_imported()
            consumer.run()


@dataclass(frozen=True)
class ProcessTree:
    """What runs in a working folder: the database's engine, and the functions that look after the rest."""

    engine: "Engine"
    look_after: Callable[[], None]  # starts again what died
    dismiss: Callable[[], None]  # nothing is left to do: lets the consumer leave while the caller goes on


def _complete(file: Path) -> None:
    """Who copies the database's file would leave behind what is in the log beside it."""
    from schema import database

    database.write_log_back(file)


@contextmanager
def process_tree(settings: Settings, workers: int | None) -> Iterator[ProcessTree]:
    """Database, manager and consumer in ``settings.root``; without a number one worker a core, but not too many."""
    with ExitStack() as stack:
        stack.enter_context(exclusive(settings.root))
        stack.callback(_complete, settings.root / DATABASE_FILE)  # when all who write have left
        consumers = [ConsumerProcess(settings, workers or min(os.cpu_count() or 1, MOST_WORKERS))]
        if settings.telescope is not None:
            consumers.append(ConsumerProcess(settings, 1, [settings.telescope_group], TELESCOPE_LOG_FILE))
        for consumer in consumers:
            stack.callback(consumer.stop)

        def each(work: Callable[[ConsumerProcess], None]) -> Callable[[], None]:
            def of_each() -> None:
                for consumer in consumers:
                    work(consumer)

            return of_each

        from schema import database
        from schema.queries import life
        from services.engine.manager.manager import Manager
        from services.setup import initialise, open_engine

        keep_what_is_imported()
        engine = open_engine(settings)
        initialise(settings, engine, alone=True)  # we hold the folder
        with database.session_factory(engine).begin() as session:
            # We hold the folder: whoever held a lease is dead.
            interrupted = life.expire_all_leases(session)
        if interrupted:
            logger.info("going on after an interruption", processes=interrupted)
        each(ConsumerProcess.release)()
        manager = Manager(settings)
        thread = BackgroundThread("manager", manager.run)
        thread.start()
        stack.callback(thread.join, STOP_TIMEOUT_S)
        stack.callback(manager.stop)
        watch = each(ConsumerProcess.watch)

        def look_after() -> None:
            thread.raise_failure()
            watch()

        yield ProcessTree(engine, look_after, each(ConsumerProcess.dismiss))


if __name__ == "__main__":
    try:
        consume(load(), sys.stdin.fileno(), int(sys.argv[1]), sys.argv[2:])
    except TianyuError as error:
        sys.exit(f"consumer: {error}")
