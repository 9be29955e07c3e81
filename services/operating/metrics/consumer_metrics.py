"""What a consumer tells of itself. Its workers report each attempt to it: it speaks for all of them."""

import shutil
import time
from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schema.attempts import Claim, Usage
from schema.processes import SUCCEEDED
from schema.queries.publishing import published_at
from services.deployment import Deployment
from services.operating.metrics.commands import command_label
from services.steps.append_relative import APPEND_RELATIVE
from services.steps.calibrate_relative import CALIBRATE_RELATIVE

STEP_BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600)
LATENCY_BUCKETS_S = (1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600)


class Watched(Protocol):
    """What is asked of a consumer at each scrape."""

    @property
    def busy(self) -> int:
        """Slots with work."""

    @property
    def is_holding(self) -> bool:
        """Whether it takes no work."""


class ConsumerMetrics(Collector):
    """Counts attempts as they end; ``registry`` is what Prometheus is given."""

    def __init__(self, deployment: Deployment, slots: int) -> None:
        self.registry = CollectorRegistry()
        self._deployment = deployment
        self._slots = slots
        self._consumer: Watched | None = None
        of_command, to = ("command",), self.registry
        self._attempts = Counter(
            "tianyu_attempts",
            "Attempts that ended, by outcome: succeeded, lost (its lease), or the class of the error.",
            ("command", "outcome"),
            registry=to,
        )
        self._retries = Counter(
            "tianyu_retries", "Attempts that ended and were not the first one.", of_command, registry=to
        )
        self._seconds = Histogram(
            "tianyu_step_seconds",
            "Wall seconds of attempts that succeeded.",
            of_command,
            buckets=STEP_BUCKETS_S,
            registry=to,
        )
        self._cpu = Counter("tianyu_step_cpu_seconds", "CPU seconds of all attempts.", of_command, registry=to)
        self._read = Counter(
            "tianyu_read_bytes", "Bytes that attempts read: files and answers of the database.", of_command, registry=to
        )
        self._written = Counter(
            "tianyu_written_bytes", "Bytes that attempts wrote: files and rows.", of_command, registry=to
        )
        self._rows = Counter(
            "tianyu_written_rows", "Rows that attempts which succeeded inserted.", of_command, registry=to
        )
        self._latency = Histogram(
            "tianyu_light_curve_latency_seconds",
            "From publishing frames to their light curves: the age of each process that made relative fluxes.",
            buckets=LATENCY_BUCKETS_S,
            registry=to,
        )
        self._last_error = Gauge(
            "tianyu_last_error_timestamp_seconds",
            "Unix time of the last attempt that failed, by the class of its error.",
            ("command", "error_class"),
            registry=to,
        )
        self.registry.register(self)

    def watch(self, consumer: Watched) -> None:
        """From now on its state is told."""
        self._consumer = consumer

    def note_end(self, claim: Claim, usage: Usage | None, outcome: str) -> None:
        """Count an attempt that ended; called by the thread of its slot."""
        command = command_label(claim.command)
        self._attempts.labels(command, outcome).inc()
        if claim.attempt > 1:
            self._retries.labels(command).inc()
        if outcome != SUCCEEDED:
            self._last_error.labels(command, outcome).set_to_current_time()
        if usage is None:
            return
        for counter, amount in (
            (self._cpu, usage.cpu_seconds),
            (self._read, usage.read_bytes),
            (self._written, usage.write_bytes),
            (self._rows, usage.rows),
        ):
            counter.labels(command).inc(max(amount or 0, 0))
        if outcome == SUCCEEDED:
            self._seconds.labels(command).observe(usage.seconds)
            if claim.command in (CALIBRATE_RELATIVE.command, APPEND_RELATIVE.command):
                self._latency.observe(max(time.time() - published_at(claim.pid), 0.0))

    def collect(self) -> Iterator[Metric]:
        """What is so now."""
        yield GaugeMetricFamily("tianyu_slots", "Processes that this consumer runs at a time.", self._slots)
        if self._consumer is not None:
            yield GaugeMetricFamily("tianyu_slots_busy", "Of them, those with work.", self._consumer.busy)
            yield GaugeMetricFamily(
                "tianyu_holding", "1 while no work is taken, for the root cannot take it.", self._consumer.is_holding
            )
        yield GaugeMetricFamily(
            "tianyu_root_least_free_bytes",
            "With less the consumer takes no work (setting min_free_bytes).",
            self._deployment.min_free_bytes,
        )
        try:
            disk = shutil.disk_usage(self._deployment.root)
        except OSError:
            return  # holding says that it is away
        yield GaugeMetricFamily("tianyu_root_free_bytes", "Free on the disk of the root folder.", disk.free)
        yield GaugeMetricFamily("tianyu_root_size_bytes", "Size of the disk of the root folder.", disk.total)
