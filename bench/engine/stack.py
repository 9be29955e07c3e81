"""The engine under measurement: the real programs on a database and a broker of their own."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pydantic import SecretStr
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, sessionmaker

from bench.engine import graphs, usage
from bench.engine.places import fresh_database, own_site
from bench.engine.programs import POLL_S, BenchError, Programs, end
from schema import database
from schema.base import utc_now
from schema.processes import QUEUED, SUCCEEDED, UNFINISHED, Process, ProcessAttempt
from schema.queries import choices, publishing
from schema.queries.publishing import NewProcess
from services.settings import Settings, as_environment, load
from services.setup import initialise, open_engine

STEADY_S = 0.5  # a queue that does not grow for so long is full
WARM_UP_EACH = 20  # processes a consumer: connections and caches
WARM_UPS = 50  # until each consumer has had its share


class Attempt(NamedTuple):
    """A process that succeeded: seconds by the database's clock, and who did it."""

    start: float
    end: float
    worker: str


class Stack:
    """The engine under measurement: one manager, any number of consumers with one slot each."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self.settings = settings
        self.engine = open_engine(settings)
        self.programs = Programs(os.environ | as_environment(settings), logs)
        self.consumers: list[subprocess.Popen[bytes]] = []
        self.manager: subprocess.Popen[bytes] | None = None

    @property
    def sessions(self) -> sessionmaker[Session]:
        """Sessions that write."""
        return database.session_factory(self.engine)

    def start(self, consumers: int) -> None:
        """See to it that a manager and so many consumers run, and that each has worked."""
        if self.manager is None:
            self.manager = self.programs.start("manager", "services.cli.app", "manager")
        self.consumers += [self._start_consumer() for _ in range(consumers - len(self.consumers))]
        for _ in range(WARM_UPS):
            self.drain(graphs.independent(WARM_UP_EACH * consumers))
            if self._workers() >= consumers:
                return
        raise BenchError(
            f"only {self._workers()} of {consumers} consumers work; the logs end with\n{self.programs.tails()}"
        )

    def _start_consumer(self) -> "subprocess.Popen[bytes]":
        return self.programs.start("consumer", "services.cli.app", "consumer")

    def _workers(self) -> int:
        with self.sessions() as session:
            return session.scalar(select(func.count(ProcessAttempt.worker.distinct()))) or 0

    def publish(self, processes: Sequence[NewProcess]) -> None:
        """Publish in one transaction."""
        with self.sessions.begin() as session:
            choices_id = choices.keep(session, "any", self.settings.choices.text())
            publishing.publish(session, processes, site=self.settings.site, choices_id=choices_id)

    def drain(self, processes: Sequence[NewProcess], every_s: float = POLL_S) -> None:
        """Publish, and wait until everything in the database is finished."""
        self.publish(processes)
        self.wait_finished(every_s)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Stop the consumers in their tracks; at the end they go on, with the queue as full as the manager makes it."""
        for consumer in self.consumers:
            os.kill(consumer.pid, signal.SIGSTOP)
        try:
            yield
            self._wait_for_full_queue()
        finally:
            for consumer in self.consumers:
                os.kill(consumer.pid, signal.SIGCONT)

    def _wait_for_full_queue(self) -> None:
        def sent() -> tuple[int, int]:
            with self.sessions() as session:
                queued = func.count().label("queued")
                row = session.execute(select(queued, func.count(Process.sent_at)).where(Process.status == QUEUED)).one()
            return row[0], row[1]

        before, since = (-1, -1), time.monotonic()

        def full() -> bool:
            nonlocal before, since
            now = sent()
            if now != before:
                before, since = now, time.monotonic()
            return now[0] == now[1] > 0 and time.monotonic() - since > STEADY_S

        self.programs.wait_until(full, sent)

    def wait_finished(self, every_s: float = POLL_S) -> None:
        """Wait until no process is unfinished."""

        def finished() -> bool:
            with self.sessions() as session:
                return session.scalar(select(Process.pid).where(Process.status.in_(UNFINISHED)).limit(1)) is None

        def ends() -> object:
            with self.sessions() as session:
                return session.scalar(select(func.max(ProcessAttempt.finished_at)))

        self.programs.wait_until(finished, ends, every_s)

    def wait_for_ends(self, processes: Sequence[NewProcess], count: int) -> None:
        """Wait until so many of these have succeeded."""

        def ended() -> int:
            with self.sessions() as session:
                return (
                    session.scalar(select(func.count()).where(*self._succeeded(processes[0].pid, len(processes)))) or 0
                )

        self.programs.wait_until(lambda: ended() >= count, ended)

    def _succeeded(self, first: int, count: int) -> tuple[ColumnElement[bool], ...]:
        return ProcessAttempt.pid.between(first, first + count - 1), ProcessAttempt.outcome == SUCCEEDED

    def times(self, first: int, count: int) -> list[Attempt]:
        """Starts and ends of the ``count`` processes from ``first`` on, in the order of PIDs.

        Raises:
            BenchError: one did not succeed.
        """
        with self.sessions() as session:
            rows = session.execute(
                select(ProcessAttempt.started_at, ProcessAttempt.finished_at, ProcessAttempt.worker)
                .where(*self._succeeded(first, count))
                .order_by(ProcessAttempt.pid)
            ).all()
        if len(rows) != count:
            raise BenchError(f"{len(rows)} processes of {count} succeeded; the logs end with\n{self.programs.tails()}")
        return [Attempt(start.timestamp(), end.timestamp(), worker) for start, end, worker in rows if end is not None]

    def now(self) -> float:
        """The database's clock, as in ``times``."""
        with self.sessions() as session:
            return session.execute(select(utc_now())).scalar_one().timestamp()

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time until now by program."""
        assert self.manager is not None
        programs = {"manager": [self.manager.pid], "consumers": [consumer.pid for consumer in self.consumers]}
        return usage.snapshot(programs, servers=self.engine.dialect.name != "sqlite")


@contextmanager
def stack(server_url: str | None, broker_url: str) -> Iterator[Stack]:
    """A new stack: on servers, or (``server_url`` None) embedded, with a database file and the local broker."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="tianyu-bench-")))
        url = (
            f"sqlite:///{folder / 'tianyu.db'}"
            if server_url is None
            else cleanup.enter_context(fresh_database(server_url))
        )
        settings = load(
            database_url=SecretStr(url),
            broker_url=SecretStr(broker_url),
            site=cleanup.enter_context(own_site(broker_url)),
            root=folder / "root",
            log_level="WARNING",
        )
        (folder / "logs").mkdir()
        new = Stack(settings, folder / "logs")
        cleanup.callback(new.engine.dispose)
        initialise(settings, new.engine)
        cleanup.callback(lambda: end(new.programs.running))
        yield new
