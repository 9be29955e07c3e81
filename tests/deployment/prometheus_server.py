"""A real Prometheus by the deployment's own files, which asks this machine, often, and calls at once."""

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import yaml

from tests.servers import daemon, programs
from tests.servers.env import CHECKOUT
from tests.servers.errors import Refused

SHIPPED = CHECKOUT / "deploy" / "prometheus"
PROGRAM = programs.find("prometheus")
ASKED_EVERY, EVALUATED_EVERY = "2s", "1s"
ANSWER_S = 10.0
PATIENCE_S = 120.0
POLL_S = 0.2


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Labels of the alerts that fire, by the alert's name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self._ask("alerts")["alerts"]:
            if alert["state"] == "firing":
                labels = dict(alert["labels"])
                found.setdefault(labels.pop("alertname"), []).append(labels)
        return found

    def values(self, query: str) -> list[float]:
        """Of each series that a query gives now."""
        return [float(one["value"][1]) for one in self._ask(f"query?query={quote(query)}")["result"]]

    def wait_for(self, what: Callable[["Prometheus"], bool]) -> None:
        """Until it has seen it."""
        deadline = time.monotonic() + PATIENCE_S
        while not what(self):
            assert time.monotonic() < deadline, f"{self.firing()} fire, up are {self.values('up')}"
            time.sleep(POLL_S)

    def _ask(self, what: str) -> dict[str, list[dict[str, dict[str, str]]]]:
        with urllib.request.urlopen(f"{self.url}/api/v1/{what}", timeout=ANSWER_S) as answer:
            found: dict[str, list[dict[str, dict[str, str]]]] = json.load(answer)["data"]
        return found


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, Sequence[int]]) -> Iterator[Prometheus]:
    """Ask these ports of this machine, by the name of the job, and evaluate the shipped rules."""
    folder.mkdir()
    asked = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))
    asked["global"] = {
        "scrape_interval": ASKED_EVERY,
        "scrape_timeout": ASKED_EVERY,
        "evaluation_interval": EVALUATED_EVERY,
    }
    asked["rule_files"] = [str(folder / "rules" / "*.yml")]
    for job in asked["scrape_configs"]:
        ports = targets[job["job_name"]]
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    (folder / "rules").mkdir()
    for rules in (SHIPPED / "rules").glob("*.yml"):
        soon = re.sub(r"^( +for): \w+$", r"\1: 0s", rules.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (folder / "rules" / rules.name).write_text(soon, encoding="utf-8")
    address = f"127.0.0.1:{daemon.free_port()}"
    options = {"config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "data"}
    words = [f"--{name}={value}" for name, value in options.items()]
    assert PROGRAM is not None
    url = daemon.launch(folder, [PROGRAM, *words, f"--web.listen-address={address}"], f"http://{address}", _ready)
    try:
        yield Prometheus(url)
    finally:
        daemon.kill(folder)


def _ready(url: str) -> None:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=ANSWER_S):
            return
    except OSError as error:
        raise Refused(str(error)) from error
