"""What is told to Prometheus is what page, rules and dashboard say; it costs nothing where it is not asked for."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from schema.attempts import Claim, Usage
from services.deployment import Deployment, listen_address
from services.engine.manager.manager import Manager
from services.errors import ConfigurationError
from services.masters import masters_missing
from services.operating.metrics import manager_metrics
from services.operating.metrics.consumer_metrics import ConsumerMetrics
from services.operating.metrics.endpoint import answering
from services.operating.metrics.manager_metrics import ManagerMetrics
from tests.servers import programs
from tests.servers.env import CHECKOUT
from tests.unit.docs.pages import table_rows

PAGE = CHECKOUT / "docs" / "how-to" / "watch-the-machines.md"
PROMETHEUS = CHECKOUT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules" / "tianyu.yml"
DASHBOARD = CHECKOUT / "deploy" / "grafana" / "tianyu.json"
MANAGER = cast(Manager, SimpleNamespace(is_active=True, tally=Counter()))
NAME = re.compile(r"tianyu_[a-z_]+")
PROMTOOL = programs.find("promtool")
CLAIM = Claim(1795000000000000001, 2, 3, "calibrate_relative", "{}", 1, 4, 1)


def name_in_text(family: Any) -> str:
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def consumer_metrics() -> ConsumerMetrics:
    metrics = ConsumerMetrics(Deployment(root=CHECKOUT), 2)
    metrics.watch(cast(Any, SimpleNamespace(busy=1, is_holding=False)))
    return metrics


@pytest.fixture
def told(ready_sqlite_url: str) -> dict[str, str]:
    """Who tells each metric, by its name."""
    own = {"tianyu_manager_active", *(f"tianyu_{name}_total" for name in manager_metrics.TALLIES)}
    found = {name_in_text(family): "consumer" for family in consumer_metrics().registry.collect()}
    for family in ManagerMetrics(ready_sqlite_url, MANAGER).collect():
        name = name_in_text(family)
        found[name] = "manager" if name in own else "active manager"
    return found


def test_page_rules_and_dashboard_name_what_is_told(told: dict[str, str]) -> None:
    assert {row[0]: row[2] for row in table_rows(PAGE, "Metrics")} == told
    known = set(told) | {f"{name}_bucket" for name in told}
    assert set(NAME.findall(RULES.read_text())) <= known
    queries = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]
    assert {name for query in queries for name in NAME.findall(query)} <= known


def test_each_alert_has_its_section() -> None:
    text = RULES.read_text()
    alerts = re.findall(r"alert: (\w+)", text)
    assert re.findall(r"^### (\w+)$", PAGE.read_text(), re.MULTILINE) == alerts
    page = PAGE.relative_to(CHECKOUT)
    assert re.findall(r"runbook_url: (\S+)", text) == [f"{page}#{alert.lower()}" for alert in alerts]
    tested = (PROMETHEUS / "tests" / "tianyu.test.yml").read_text()
    assert [alert for alert in alerts if f'alertname="{alert}"' not in tested] == []


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not of this machine: apt-get install prometheus")
def test_alerts_come_and_go(tmp_path: Path) -> None:
    programs.run([str(PROMTOOL), "test", "rules", PROMETHEUS / "tests" / "tianyu.test.yml"], timeout_s=60)
    queries = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    programs.run([str(PROMTOOL), "check", "rules", tmp_path / "queries.yml"], timeout_s=60)


def test_attempts_are_counted_by_known_commands_alone() -> None:
    metrics = consumer_metrics()
    metrics.note_end(CLAIM, Usage(2.0, 1.5, None, 100, None, 30), "succeeded")
    metrics.note_end(Claim(1, 1, 3, "no_step", "{}", 1, 4, 1), None, "lost")
    value = metrics.registry.get_sample_value
    assert value("tianyu_attempts_total", {"command": "calibrate_relative", "outcome": "succeeded"}) == 1
    assert value("tianyu_retries_total", {"command": "calibrate_relative"}) == 1
    assert value("tianyu_step_seconds_sum", {"command": "calibrate_relative"}) == 2.0
    assert value("tianyu_step_cpu_seconds_total", {"command": "calibrate_relative"}) == 1.5
    assert value("tianyu_read_bytes_total", {"command": "calibrate_relative"}) == 100
    assert value("tianyu_written_rows_total", {"command": "calibrate_relative"}) == 30
    assert value("tianyu_light_curve_latency_seconds_count") == 1
    assert value("tianyu_attempts_total", {"command": "other", "outcome": "lost"}) == 1


@pytest.mark.parametrize(
    ("told", "left_out", "reduced", "missing"),
    [
        ({"bias": 1, "dark": 2, "flat": 3}, [], "", set()),
        ({}, [], "", {"bias", "dark", "flat"}),
        ({"dark": 2, "flat": None}, [], "", {"flat"}),  # the dark holds the bias
        ({"flat": 3}, ["dark"], "", {"bias"}),
        ({"flat": 3}, [], "B", {"dark"}),
    ],
)
def test_masters_are_missing_that_nobody_left_out(
    told: dict[str, int | None], left_out: list[str], reduced: str, missing: set[str]
) -> None:
    assert masters_missing(json.dumps(told), json.dumps({"without": left_out}), reduced) == missing


def test_the_database_is_asked_once_for_scrapes_that_follow_one_another(ready_sqlite_url: str) -> None:
    metrics = ManagerMetrics(ready_sqlite_url, MANAGER)
    first, second = (list(metrics.collect()) for _ in range(2))
    assert [a is b for a, b in zip(first, second, strict=True)] == [False] * 4 + [True] * (len(first) - 4)
    standby = ManagerMetrics(
        "sqlite:////nowhere/tianyu.db", cast(Manager, SimpleNamespace(is_active=False, tally=Counter()))
    )
    assert len(list(standby.collect())) == 4


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    metrics = ManagerMetrics(f"sqlite:///{tmp_path / 'none' / 'tianyu.db'}", MANAGER)
    found = {sample.name: sample.value for family in metrics.collect() for sample in family.samples}
    assert found["tianyu_database_up"] == 0
    assert "tianyu_observations" not in found


@pytest.mark.parametrize(
    ("text", "address"),
    [("9464", ("127.0.0.1", 9464)), ("0.0.0.0:9464", ("0.0.0.0", 9464)), ("[::1]:80", ("::1", 80))],
)
def test_a_port_alone_is_of_this_machine(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "0", "65536", "host:", "1:2:x", "²"])
def test_an_address_without_port_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="neither a port"):
        Deployment(metrics_listen=text)


def test_a_port_that_is_taken_is_said() -> None:
    with (
        pytest.raises(ConfigurationError, match=r"metrics_listen: 192\.0\.2\.1 port 9464 cannot be listened on"),
        answering("192.0.2.1:9464", CollectorRegistry()),
    ):
        pass


def test_nothing_is_loaded_where_it_is_off() -> None:
    code = (
        "import sys, services.cli.app, services.cli.manager_command, services.cli.consumer_command, "
        "services.engine.manager.manager, services.engine.consumer.consumer, services.engine.publisher.publish; "
        "from services.engine.tracing.traced import attempts_traced; from services.settings import Settings; "
        "attempts_traced(Settings()).__enter__(); "
        "assert {'prometheus_client', 'opentelemetry'}.isdisjoint(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
