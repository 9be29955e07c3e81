"""The programs of a distributed system on one machine: each reaches the servers by routes of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.engine.consumer.worker import NAME
from tests import forked
from tests.chaos.checks import OWN
from tests.chaos.proxy import Route
from tests.chaos.servers import Servers
from tests.forked import run_program

RESTART_AFTER_S = 0.5  # as a service manager does
STOP_TIMEOUT_S = 60.0
STACK_CHARACTERS = 6000  # of the log of a program that hangs


def children_of(parent: int, file: str, mark: str) -> list[int]:
    """PIDs of the children of which this file of `/proc` has ``mark`` in it."""
    found = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):  # it ended meanwhile
            for child in map(int, task.read_text().split()):
                if mark in Path(f"/proc/{child}/{file}").read_text(errors="replace"):
                    found.append(child)
    return sorted(found)


def workers_of(consumer: int) -> list[int]:
    """PIDs of the worker processes of a consumer."""
    return children_of(consumer, "comm", NAME)


def signal_all(pids: list[int], number: signal.Signals) -> int:
    """Send a signal to those that live; how many did."""
    reached = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            reached += 1
    return reached


@dataclass
class Program:
    """A program that is started again whenever it is gone."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    database: Route
    broker: Route
    starts: int = 0
    left: list[int] = field(default_factory=list)  # exit codes of the times that it ended by itself
    process: forked.Program | None = None
    start_at: float = 0.0

    @property
    def pid(self) -> int | None:
        """Its PID while it lives."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    @property
    def workers(self) -> list[int]:
        """PIDs of its worker processes."""
        return [] if self.pid is None else workers_of(self.pid)

    def tend(self) -> None:
        """Start it when it is gone and its time has come."""
        if self.process is not None and self.process.poll() is not None:
            self.left.append(self.process.returncode)
            self._gone()
        if self.process is None and time.monotonic() >= self.start_at:
            self.starts += 1
            environment = os.environ | self.environment | {"PYTHONFAULTHANDLER": "1"}
            self.process = forked.Program(self.arguments, environment, self.log)

    def kill(self) -> bool:
        """SIGKILL; False if it was not running."""
        if self.pid is None or self.process is None:
            return False
        self.process.kill()
        self.process.wait()
        self._gone()
        return True

    def terminate(self) -> None:
        """SIGTERM, once: a second one means now."""
        if self.process is not None:
            self.process.terminate()

    def wait(self) -> int | None:
        """Wait for its end; its exit code. One that does not end tells by its stacks where it hangs."""
        if self.process is None:
            return None
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            last = self.log.read_text()[-STACK_CHARACTERS:]
            raise AssertionError(f"{self.name} did not leave within {STOP_TIMEOUT_S:.0f} s:\n{last}") from None

    def restart(self) -> int | None:
        """SIGTERM, and when it has left start it again; the exit code with which it left."""
        self.terminate()
        code = self.wait()
        self._gone()
        self.start_at = 0.0
        self.tend()
        return code

    def _gone(self) -> None:
        self.process = None
        self.start_at = time.monotonic() + RESTART_AFTER_S


PROGRAMS = 4


@dataclass
class System:
    """Two managers, two consumers with three slots in all, and what is still to be done to them."""

    servers: Servers
    database: str
    site: str
    root: Path
    logs: Path
    settings: dict[str, str]
    choices: dict[str, str] = field(default_factory=dict)  # by which the night was published last
    managers: list[Program] = field(default_factory=list)
    consumers: list[Program] = field(default_factory=list)
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.logs.mkdir(parents=True)
        self.servers.make_database(self.database)
        self.managers = [self._program(f"manager-{number}", ("manager",)) for number in range(2)]
        # With two slots, two attempts of one program are under way when it is killed.
        self.consumers = [
            self._program(f"consumer-{number}", ("consumer", "--concurrency", str(slots)))
            for number, slots in enumerate((2, 1))
        ]

    @property
    def programs(self) -> list[Program]:
        """All of them."""
        return self.managers + self.consumers

    def _program(self, name: str, arguments: tuple[str, ...]) -> Program:
        network = self.servers.network
        database = self.servers.database.add_route(Route(network, f"{name}, database"))
        broker = self.servers.broker.add_route(Route(network, f"{name}, RabbitMQ"))
        environment = self.environment(database.port, broker.port)
        return Program(name, arguments, environment, self.logs / f"{name}.log", database, broker)

    def environment(self, database_port: int, broker_port: int) -> dict[str, str]:
        """Settings of a program that reaches the servers by these ports."""
        return self.settings | {
            "TIANYU_DATABASE_URL": f"mysql+pymysql://root@127.0.0.1:{database_port}/{self.database}",
            "TIANYU_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{broker_port}/",
            "TIANYU_SITE": self.site,
            "TIANYU_ROOT": str(self.root),
        }

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, past all routes."""
        environment = self._direct | settings
        done = run_program(arguments, environment)
        if done.returncode:
            raise AssertionError(f"tianyu {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *arguments: str, **settings: str) -> forked.Program:
        """Start a command, past all routes, and leave it alone."""
        return forked.Program(arguments, self._direct | settings, self.logs / f"{arguments[0]}.log")

    @property
    def _direct(self) -> dict[str, str]:
        return os.environ | self.environment(self.servers.database.port, self.servers.broker.port)

    def tend(self) -> None:
        """Start what is gone, do what is due."""
        now = time.monotonic()
        due = [action for at, action in self.later if at <= now]
        self.later = [(at, action) for at, action in self.later if at > now]
        for action in due:
            action()
        for program in self.programs:
            program.tend()

    def in_a_while(self, seconds: float, action: Callable[[], object]) -> None:
        """Let ``tend`` do something after so many seconds."""
        self.later.append((time.monotonic() + seconds, action))

    def is_ready(self) -> bool:
        """Whether all programs live and have said so to the database, by when they take SIGTERM."""
        said = {int(name.split(":")[2]) for (name,) in self.sql("SELECT name FROM service")}
        return all(program.pid in said for program in self.programs)

    def light(self) -> str:
        """Number of the observation of the sky."""
        [(number,)] = self.sql(
            "SELECT observation_id FROM observation JOIN target USING (target_id) WHERE kind = 'light'"
        )
        return str(number)

    def succeeded(self) -> int:
        """Processes that ran and succeeded."""
        [(count,)] = self.sql(f"SELECT COUNT(*) FROM process p WHERE status = 'succeeded' AND {OWN}")
        return int(count)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the system's database, past all routes."""
        return self.servers.sql(self.database, statement, *values)

    def stop(self) -> dict[str, int | None]:
        """Let all programs finish and leave; their exit codes."""
        for _, action in self.later:
            action()
        self.later = []
        for program in self.programs:
            program.terminate()
        return {program.name: program.wait() for program in self.programs}

    def kill(self) -> None:
        """End everything that may still run; frozen workers are woken to see that their consumer is gone."""
        for program in self.programs:
            workers = program.workers
            program.kill()
            signal_all(workers, signal.SIGKILL)

    def last_words(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"{path.name}:\n{path.read_text()[-1500:]}" for path in sorted(self.logs.iterdir()))
