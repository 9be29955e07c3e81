"""Metrics of a small night on real servers, asked over HTTP: nobody works for the group, then a consumer does."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text

from schema import database
from services.engine.manager.manager import Manager
from services.engine.tracing import traced
from services.masters import MASTERS
from services.operating.metrics import manager_metrics
from services.operating.metrics.endpoint import answering
from services.operating.metrics.manager_metrics import manager_registry
from services.settings import Settings, as_environment
from services.setup import initialise, open_engine
from tests.acceptance.programs import Programs
from tests.conftest import MARIADB
from tests.deployment.trace_receiver import TraceReceiver, trace_receiver
from tests.integration.small_night import FRAMES, Night, simulate_night
from tests.ready_databases import ReadyDatabases
from tests.servers.daemon import free_port

PATIENCE_S = 120.0
MISSING = "tianyu_recent_observations_without_masters"
POLL_S = 0.2
OF_THE_CONSUMER = ("consumer", "metrics", "presence")  # whose lines are of itself
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int) -> Samples:
    """Values by name and labels; each help text, type and value is parsed as Prometheus does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[TraceReceiver]:
    """Hears this program's spans, and those of programs that it starts."""
    with trace_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        traced.of_publications.cache_clear()
        yield receiver
    traced.of_publications.cache_clear()


@pytest.fixture
def settings(
    ready_databases: ReadyDatabases, broker_url: str, unique_site: str, receiver: TraceReceiver, tmp_path: Path
) -> Iterator[Settings]:
    """A published night on MariaDB and RabbitMQ."""
    with ready_databases.lend(MARIADB, tmp_path) as url:
        settings = Settings(
            database_url=SecretStr(url),
            broker_url=SecretStr(broker_url),
            site=unique_site,
            root=tmp_path / "root",
            sweep_s=0.5,
            log_format="json",
            log_level="DEBUG",
            traces=True,
        )
        engine = open_engine(settings)
        initialise(settings, engine)
        Night(settings, database.session_factory(engine)).publish(simulate_night(tmp_path / "night"))
        engine.dispose()
        yield settings


@pytest.fixture
def manager_port(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where its manager answers."""
    monkeypatch.setattr(manager_metrics, "FRESH_S", 0.0)
    port, stop = free_port(), threading.Event()
    manager = Manager(settings, stop)
    thread = threading.Thread(target=manager.run, daemon=True)
    with answering(f"{port}", manager_registry(settings, manager)):
        thread.start()
        yield port
    stop.set()
    thread.join(timeout=30)


@pytest.fixture
def programs(settings: Settings, tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(as_environment(settings) | {"TIANYU_METRICS_LISTEN": str(free_port())}, tmp_path)
    yield programs
    programs.stop()


def test_a_group_without_consumer_is_seen_and_so_is_its_end(
    settings: Settings, programs: Programs, manager_port: int, receiver: TraceReceiver
) -> None:
    of_queue = {"site": settings.site, "group": "cpu"}

    def of_group(name: str, **labels: str) -> float | None:
        return value(scrape(manager_port), name, **of_queue, **labels)

    wait_for(lambda: (of_group("tianyu_queue_processes", state="queued") or 0) > 0)
    before = scrape(manager_port)
    assert value(before, "tianyu_manager_active") == 1
    assert value(before, "tianyu_database_up") == 1
    states = ("blocked", "ready", "queued", "running")
    published = sum(value(before, "tianyu_queue_processes", **of_queue, state=state) or 0 for state in states)
    assert value(before, "tianyu_queue_consumers", **of_queue) == 0
    assert (value(before, "tianyu_queue_processes", **of_queue, state="blocked") or 0) > FRAMES
    assert value(before, "tianyu_processes", command="calibrate", state="waiting") == FRAMES
    age = value(before, "tianyu_queue_oldest_age_seconds", **of_queue, state="queued")
    assert age is not None
    assert 0 <= age < PATIENCE_S

    consumer = programs.start("consumer", "--concurrency", "2")
    wait_for(lambda: of_group("tianyu_queue_consumers") == 1)
    assert of_group("tianyu_queue_slots") == 2
    wait_for(lambda: (of_group("tianyu_queue_processes", state="succeeded") or 0) == published)

    after = scrape(manager_port)
    assert value(after, "tianyu_processes", command="calibrate", state="succeeded") == FRAMES
    assert [value(after, "tianyu_queue_processes", **of_queue, state=state) for state in states] == [0, 0, 0, 0]
    assert (value(after, "tianyu_observations") or 0) >= 1
    own = scrape(int(programs.environment["TIANYU_METRICS_LISTEN"]))
    assert value(own, "tianyu_attempts_total", command="calibrate", outcome="succeeded") == FRAMES
    assert value(own, "tianyu_step_seconds_count", command="calibrate") == FRAMES
    frames_bytes = FRAMES * 128 * 128 * 2
    assert (value(own, "tianyu_read_bytes_total", command="calibrate") or 0) > frames_bytes
    assert (value(own, "tianyu_written_bytes_total", command="calibrate") or 0) > frames_bytes
    [fluxes] = rows_of(settings, "SELECT COUNT(*) FROM flux")
    assert (value(own, "tianyu_written_rows_total", command="extract") or 0) >= fluxes > FRAMES
    assert {kind: value(before, MISSING, site=settings.site, kind=kind) for kind in MASTERS} == dict.fromkeys(
        MASTERS, 0
    )
    curves = sum(
        count or 0 for (name, labels), count in own.items() if name == "tianyu_light_curve_latency_seconds_count"
    )
    assert curves >= 1
    assert value(own, "tianyu_slots") == 2
    assert value(own, "tianyu_holding") == 0
    assert (value(own, "tianyu_root_free_bytes") or 0) > 0
    consumer.terminate()
    assert consumer.wait(timeout=60) == 0
    wait_for(lambda: of_group("tianyu_queue_consumers") == 0)
    assert_spans_are_a_tree(receiver, settings)
    assert_lines_name_attempts((programs.logs / "0-consumer.log").read_text().splitlines())


def rows_of(settings: Settings, query: str) -> list[Any]:
    """First values of a query's rows."""
    with open_engine(settings).connect() as connection:
        return list(connection.scalars(text(query)))


def assert_spans_are_a_tree(receiver: TraceReceiver, settings: Settings) -> None:
    """Each attempt is a span below its graph's publication, with links to those that made what it went by."""
    with open_engine(settings).connect() as connection:
        query = "SELECT p.pid, p.graph_pid, p.command, p.observation_id FROM process p JOIN process_attempt USING (pid)"
        attempts = connection.execute(text(query)).all()
        query = "SELECT child_pid, parent_pid FROM process_dependence"
        needs = connection.execute(text(query)).all()
    spans = {span.facts["tianyu.pid"]: span for span in receiver.spans if "tianyu.pid" in span.facts}
    graphs = {span.facts["tianyu.graph_pid"]: span for span in receiver.spans if span.name == "publish"}
    assert len(receiver.spans) == len(spans) + len(graphs) == len(attempts) + len({graph for _, graph, *_ in attempts})
    for pid, graph_pid, command, observation_id in attempts:
        span = spans[pid]
        assert (span.trace_id, span.parent_id) == (f"{graph_pid:032d}", graphs[graph_pid].span_id)
        assert span.service == "tianyu"
        assert span.name == span.facts["tianyu.command"] == command
        told = {"attempt": 1, "outcome": "succeeded", "observation_id": observation_id, "group": "cpu"}
        told |= {"site": settings.site}
        assert {name: span.facts[f"tianyu.{name}"] for name in told} == told
        assert 0 <= span.facts["tianyu.queue_wait_s"] < PATIENCE_S
        assert 0 < span.seconds < PATIENCE_S
        assert set(span.links) == {spans[parent].span_id for child, parent in needs if child == pid}
        assert span.is_ok
    assert max(span.facts["tianyu.queue_wait_s"] for span in spans.values()) > 0  # no consumer was there at first
    for graph_pid, graph in graphs.items():
        assert (graph.trace_id, graph.parent_id) == (f"{graph_pid:032d}", "")
        assert graph.facts["tianyu.processes"] == sum(of == graph_pid for _, of, *_ in attempts)


def assert_lines_name_attempts(lines: list[str]) -> None:
    """Each line is JSON; those of steps and of what they call say whose they are."""
    found = [json.loads(line) for line in lines]
    of_attempts = [line for line in found if line["room"] not in OF_THE_CONSUMER or line["event"] == "succeeded"]
    assert len(of_attempts) > FRAMES
    for line in of_attempts:
        assert {"pid", "attempt", "command", "observation_id"} <= line.keys(), line
