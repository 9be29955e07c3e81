"""The embedded mode: one process tree with a database file, a local queue, a manager and consumers; no server.

Everything is the real thing: the consumers are the same program that runs beside RabbitMQ. The state lies in the
working folder, so that a run that was interrupted, or killed, goes on where it was when it is started again.
"""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr
from sqlalchemy import URL, Engine

from schema import database
from schema.queries import life
from services.broker.connect import LOCAL_FILE
from services.errors import ConfigurationError, TianyuError
from services.log import get_logger
from services.manager.manager import Manager
from services.settings import Settings, as_environment, load
from services.setup import initialise, open_engine

log = get_logger("run")
DATABASE_FILE = "tianyu.db"
LOCK_FILE = "run.lock"
LOG_FOLDER = "logs"
EMBEDDED_SWEEP_S = 1.0
EMBEDDED_LEASE_S = 30.0
STOP_TIMEOUT_S = 60.0
MOST_RESTARTS = 5  # of one consumer; a step that crashes takes only its worker, so this many mean something else


def embedded_settings(workdir: Path, **overrides: Any) -> Settings:
    """Settings for a run in ``workdir``: database, broker and root are fixed, all else is as configured."""
    workdir = workdir.absolute()
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"working folder {str(workdir)!r} cannot be made: {error}; choose another --workdir"
        ) from error
    # Built, not pasted together: a folder's name may hold what a URL takes for its own.
    database_url = URL.create("sqlite", database=str(workdir / DATABASE_FILE))
    return load(
        database_url=SecretStr(database_url.render_as_string(hide_password=False)),
        broker_url=SecretStr(f"local://{quote(str(workdir / LOCAL_FILE))}"),
        root=workdir,
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


class Consumers:
    """Consumer processes of this machine, started again when they die."""

    def __init__(self, settings: Settings, count: int) -> None:
        self._settings = settings
        self._logs = settings.root / LOG_FOLDER
        self._logs.mkdir(exist_ok=True)
        self._restarts = 0
        self._processes = [self._start(number) for number in range(count)]

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        environment = os.environ | as_environment(self._settings)
        command = [sys.executable, "-m", "services.cli.app", "consumer", "--parent", str(os.getpid())]
        with (self._logs / f"consumer-{number}.log").open("ab") as output:
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603

    def watch(self) -> None:
        """Start dead consumers again.

        Raises:
            TianyuError: they die too often.
        """
        for number, process in enumerate(self._processes):
            if process.poll() is None:
                continue
            self._restarts += 1
            log.warning("consumer died, starting another", number=number, exit_code=process.returncode)
            if self._restarts > MOST_RESTARTS:
                raise TianyuError(f"consumers die again and again: {self._logs} has their last words")
            self._processes[number] = self._start(number)

    def stop(self) -> None:
        """Let them finish what they do, then leave."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def process_tree(settings: Settings, consumers: int) -> Iterator[tuple[Engine, Callable[[], None]]]:
    """Database, manager and consumers in ``settings.root``; gives the engine and a function that looks after them."""
    with ExitStack() as stack:
        stack.enter_context(exclusive(settings.root))
        engine = open_engine(settings)
        initialise(settings, engine)
        with database.session_factory(engine).begin() as session:
            # We hold the folder: whoever held a lease is dead.
            interrupted = life.expire_all_leases(session)
        if interrupted:
            log.info("going on after an interruption", processes=interrupted)
        workers = Consumers(settings, consumers)
        stack.callback(workers.stop)
        manager = Manager(settings)
        thread = threading.Thread(target=manager.run, name="manager", daemon=True)
        thread.start()
        stack.callback(thread.join, STOP_TIMEOUT_S)
        stack.callback(manager.stop)
        yield engine, workers.watch
