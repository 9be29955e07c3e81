"""Celery beside Tianyu: the same numbers of independent no-ops and the same chain, on the same servers."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import celery
import kombu
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from bench.engine import celery_leftovers, usage
from bench.engine.celery_app import TASK, Place, make_app
from bench.engine.places import fresh_database
from bench.engine.programs import CHECKOUT, Programs, end
from bench.engine.report import Row, percentile

MS = 1000.0
WARM_UP_EACH = 20  # tasks a worker process
CHAIN_TIMEOUT_S = 600.0
SHOWN = (
    "task_acks_late",
    "task_track_started",
    "task_default_queue_type",
    "broker_transport_options",
    "worker_prefetch_multiplier",
    "database_engine_options",
    "database_short_lived_sessions",
)
# Celery's own times have whole seconds on these servers; a column that it does not know tells when each row was stored.
STORED_AT = """
ALTER TABLE celery_taskmeta
ADD COLUMN stored_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)
"""
DONE = "SELECT COUNT(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"
SPAN = "SELECT TIMESTAMPDIFF(MICROSECOND, MIN(stored_at), MAX(stored_at)) / 1e6 FROM celery_taskmeta"


class CeleryStack:
    """A client, a worker of ``processes`` prefork processes, and the table of their results."""

    def __init__(self, place: Place, processes: int, logs: Path) -> None:
        self.app = make_app(place)
        self.noop = self.app.tasks[TASK]
        self.app.backend.ResultSession().close()  # makes the tables
        self._results = create_engine(place.backend, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._ask(STORED_AT)
        self.programs = Programs(os.environ | place.environment() | {"PYTHONPATH": str(CHECKOUT)}, logs)
        options = ("--pool", "prefork", "--concurrency", str(processes), "--loglevel", "WARNING")
        name = ("--hostname", f"{place.queue}@%h")
        self.worker = self.programs.start(
            "celery", "celery", "-A", "bench.engine.celery_worker", "worker", *options, *name
        )

    def _ask(self, query: str) -> float:
        with self._results.connect() as connection:
            result = connection.execute(text(query))
            return float(result.scalar_one()) if result.returns_rows else 0.0

    def drain(self, count: int) -> tuple[float, dict[str, float]]:
        """Seconds from the first to the last of ``count`` stored results, and CPU seconds by program meanwhile.

        All are queued before the first begins.
        """
        self._ask("DELETE FROM celery_taskmeta")
        os.kill(self.worker.pid, signal.SIGSTOP)
        try:
            for _ in range(count):
                self.noop.apply_async()
            before = self._cpu_seconds()
        finally:
            os.kill(self.worker.pid, signal.SIGCONT)
        self.programs.wait_until(lambda: self._ask(DONE) >= count, lambda: self._ask(DONE))
        after = self._cpu_seconds()
        return self._ask(SPAN), {name: after[name] - before.get(name, 0.0) for name in after}

    def chain(self, length: int) -> list[float]:
        """ms from the end of each task of a chain to the start of the next; results are stored meanwhile."""
        last = celery.chain(*(self.noop.si() for _ in range(length))).apply_async()
        last.get(timeout=CHAIN_TIMEOUT_S)
        results, one = [], last
        while one is not None:
            results.append(one.get())
            one = one.parent
        return [MS * (after[0] - before[1]) for before, after in pairwise(reversed(results))]

    def _cpu_seconds(self) -> dict[str, float]:
        return usage.snapshot({"Celery": [self.worker.pid]})


@contextmanager
def stack(server_url: str, broker_url: str, processes: int, track_started: bool = False) -> Iterator[CeleryStack]:
    """Celery on a database and a queue of its own, warmed up."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="tianyu-bench-")))
        queue = f"bench{uuid4().hex[:12]}"
        cleanup.enter_context(celery_leftovers.removed(broker_url, queue))
        url = cleanup.enter_context(fresh_database(server_url))
        new = CeleryStack(Place(broker_url, url, queue, "yes" if track_started else ""), processes, folder)
        cleanup.callback(new.app.close)
        cleanup.callback(lambda: end(new.programs.running))
        new.drain(WARM_UP_EACH * processes)
        yield new


def facts(new: CeleryStack) -> dict[str, str]:
    """Versions and the settings that matter."""
    versions = {"Celery": celery.__version__, "kombu": kombu.__version__}
    return versions | {f"Celery, {name}": f"`{new.app.conf[name]!r}`" for name in SHOWN}


def throughput(new: CeleryStack, title: str, count: int, repeats: int) -> list[Row]:
    """Rows for ``count`` independent no-ops."""
    series: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(repeats):
        seconds, cpu = new.drain(count)
        each = seconds / (count - 1)
        series["overhead", "ms/process"].append(MS * each)
        series["throughput", "processes/s"].append(1.0 / each)
        for name, used in cpu.items():
            series[f"CPU of {name}", "ms/process"].append(MS * used / count)
    return [Row(f"{title}: {what}", unit, values) for (what, unit), values in series.items()]


def latency(new: CeleryStack, length: int, repeats: int) -> list[Row]:
    """Rows for chains of ``length``: a message carries all that is left of its chain."""
    runs = [new.chain(length) for _ in range(repeats)]
    what = f"Celery, 1 process: end of a task to start of the next (chain of {length:,})"
    return [
        Row(f"{what}, p50", "ms", [percentile(run, 50) for run in runs]),
        Row(f"{what}, p99", "ms", [percentile(run, 99) for run in runs]),
        Row(f"{what}, longest", "ms", [max(run) for run in runs]),
    ]
