"""The night by so many consumers, from an empty database, and what each of its processes took."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from bench.consumers.cores import Cores, Machine
from bench.consumers.servers import Servers
from bench.engine.places import fresh_database, own_site
from bench.engine.programs import CHECKOUT, Programs, end
from bench.engine.usage import children, cpu_seconds
from services.settings import as_environment, load

ATTEMPTS = """
SELECT p.command, a.worker, a.started_at, a.finished_at, a.seconds, a.cpu_seconds, a.max_rss_bytes, a.read_bytes,
       a.write_bytes, a.outcome
FROM process_attempt a JOIN process p ON p.pid = a.pid ORDER BY a.started_at
"""
UNFINISHED = "SELECT COUNT(*) FROM process WHERE status NOT IN ('succeeded', 'failed', 'cancelled')"
SURROUNDINGS = {"OMP_NUM_THREADS": "1", "TIANYU_CATALOG": "none"}
POLL_S = 0.2
SETTLE_S = 3.0  # of programs that have started: imports, connections


class Attempt(NamedTuple):
    """A row of `process_attempt`."""

    command: str
    worker: str
    started_at: float  # s
    finished_at: float
    seconds: float
    cpu: float
    memory: int  # bytes
    read: int
    written: int


@dataclass(frozen=True)
class NightRun:
    """What came of it."""

    consumers: int
    attempts: list[Attempt]
    cores: Cores

    @property
    def span(self) -> float:
        """Seconds from the first start to the last end."""
        return max(one.finished_at for one in self.attempts) - min(one.started_at for one in self.attempts)

    def of(self, command: str) -> list[Attempt]:
        """Its processes."""
        return [one for one in self.attempts if one.command == command]

    def rate(self, command: str) -> float:
        """Processes a second, from the first start to the last end of the step."""
        own = self.of(command)
        return len(own) / (max(one.finished_at for one in own) - min(one.started_at for one in own))

    def alone(self) -> float:
        """Share of the steps' time in steps of one process, which no second consumer makes shorter."""
        counts = Counter(one.command for one in self.attempts)
        total = sum(one.seconds for one in self.attempts)
        return sum(one.seconds for one in self.attempts if counts[one.command] == 1) / total

    def between(self) -> float:
        """Median time from the end of a worker's process to the start of its next, s: without waits for other steps."""
        by_worker = defaultdict(list)
        for one in self.attempts:
            by_worker[one.worker].append(one)
        return median(b.started_at - a.finished_at for own in by_worker.values() for a, b in pairwise(own))


def run(servers: Servers, night: Path, consumers: int, folder: Path) -> NightRun:
    """Publish the night when all consumers wait for it, and measure until nothing is left."""
    with fresh_database(servers.database_url) as url, own_site(servers.broker_url) as site:
        settings = load(
            database_url=SecretStr(url),
            broker_url=SecretStr(servers.broker_url),
            site=site,
            root=folder / "root",
            log_level="WARNING",
        )
        logs = folder / "logs"
        logs.mkdir(parents=True)
        programs = Programs(os.environ | SURROUNDINGS | as_environment(settings), logs)
        for command in (["init"], ["ingest", str(night)]):
            _tianyu(programs, *command)
        try:
            manager = programs.start("manager", "services.cli.app", "manager")
            workers = [
                programs.start("consumer", "services.cli.app", "consumer", "--concurrency", "1")
                for _ in range(consumers)
            ]
            while not all(children(one.pid) for one in workers):
                time.sleep(POLL_S)
            time.sleep(SETTLE_S)
            named = {"manager": [manager.pid], "consumers": [one.pid for one in workers], **servers.pids()}
            named["workers"] = [child for one in workers for child in children(one.pid)]
            for one in workers:
                os.kill(one.pid, signal.SIGSTOP)  # publishing is not measured
            _tianyu(programs, "publish", "--all")
            before, machine, start = _used(named), Machine.now(), time.monotonic()
            for one in workers:
                os.kill(one.pid, signal.SIGCONT)
            _wait(programs, url)
            used = {name: seconds - before[name] for name, seconds in _used(named).items()}
            cores = Cores.between(machine, Machine.now(), used, time.monotonic() - start)
        finally:
            end(programs.running)
        return NightRun(consumers, _attempts(url), cores)


def _used(named: dict[str, list[int]]) -> dict[str, float]:
    return {name: sum(map(cpu_seconds, pids)) for name, pids in named.items()}


def _tianyu(programs: Programs, *arguments: str) -> None:
    command = [sys.executable, "-m", "services.cli.app", *arguments]
    subprocess.run(command, env=programs.environment, cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)


def _wait(programs: Programs, url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:

        def unfinished() -> int:
            connection.rollback()  # a new look
            return int(connection.execute(text(UNFINISHED)).scalar_one())

        programs.wait_until(lambda: unfinished() == 0, unfinished, POLL_S)
    engine.dispose()


def _attempts(url: str) -> list[Attempt]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        rows = connection.execute(text(ATTEMPTS)).all()
    engine.dispose()
    failed = [row.command for row in rows if row.outcome != "succeeded"]
    if failed:
        sys.exit(f"not all processes succeeded: {', '.join(failed)}")
    return [Attempt(row[0], row[1], row[2].timestamp(), row[3].timestamp(), *row[4:9]) for row in rows]
