"""A night by the programs of Docker Compose's file, with the least rights, watched by Prometheus.

No engine is needed: the programs, the servers and Prometheus run on this machine.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.acceptance.programs import Programs
from tests.conftest import MYSQL
from tests.deployment.conftest import OwnBroker
from tests.deployment.local_programs import DEPLOY, Deployment, metrics_port, run
from tests.deployment.prometheus_server import PROGRAM, Prometheus, prometheus
from tests.deployment.role_logins import Logins, logins
from tests.deployment.test_roles import assert_refused
from tests.integration.small_night import FRAMES, simulate_night

GONE, NO_CONSUMER = "TianyuManagerGone", "TianyuNoConsumer"
AT_LAST = {
    "up": [1.0] * 5,  # managers, consumers and RabbitMQ
    "tianyu_manager_active": [0.0, 1.0],
    "tianyu_queue_consumers": [1.0, 1.0],
    'sum(tianyu_attempts_total{command="calibrate", outcome="succeeded"})': [FRAMES],
}
# Nothing of it is ready before the masters, which consumers of group memory make.
WITHOUT_CONSUMER = {"site": "local", "group": "memory", "severity": "critical"}


@dataclass(frozen=True)
class DeployedNight:
    """What was seen of it."""

    people: Logins
    outcome: str  # in the words of `tianyu status`
    services: str  # in JSON
    prometheus: Prometheus | None


@pytest.fixture(scope="module")
def night(own_broker: OwnBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedNight]:
    """Reduced by two managers and two consumers; where there is a Prometheus each is missed before it is started."""
    folder = tmp_path_factory.mktemp("deployed")
    raw, secrets = simulate_night(folder / "night"), folder / "secrets"
    run(DEPLOY / "make-secrets.sh", secrets)
    with logins(MYSQL, folder, secrets) as people, ExitStack() as stack:
        vhost = str(people.administrator.database)
        users = run(
            DEPLOY / "rabbitmq" / "start.sh", "cat", folder / "definitions.json",
            SECRETS=str(secrets), DEFINITIONS=str(folder / "definitions.json"),
        )  # fmt: skip
        own_broker.users(json.loads(users.replace('"tianyu', f'"{vhost}')))
        deployment = Deployment(people, own_broker, vhost, secrets, folder)
        managers = deployment.replicas("manager")
        consumers = [*deployment.replicas("consumer"), *deployment.replicas("consumer-memory")]
        ports = [metrics_port(programs) for programs, _ in (*managers, *consumers)]
        watching = None
        if PROGRAM is not None:
            targets = {"tianyu": ports, "rabbitmq": [own_broker.metrics_port]}
            watching = stack.enter_context(prometheus(folder / "prometheus", targets))

        def start(some: list[tuple[Programs, list[str]]]) -> None:
            for programs, words in some:
                stack.callback(programs.stop)
                programs.start(*words)

        initialise, words = deployment.programs("init")
        initialise.run(*words)
        operator, _ = deployment.programs("tianyu")
        operator.run("ingest", str(raw))
        operator.run("publish", "--all")
        if watching is not None:
            watching.wait_for(lambda seen: GONE in seen.firing())
        start(managers)
        if watching is not None:
            watching.wait_for(lambda seen: GONE not in seen.firing() and NO_CONSUMER in seen.firing())
            assert watching.firing()[NO_CONSUMER] == [WITHOUT_CONSUMER]
        start(consumers)
        outcome = operator.run("status", "--wait", "--timeout", "200").stdout
        yield DeployedNight(people, outcome, operator.run("status", "--json").stdout, watching)


def test_it_gives_light_curves_and_one_manager_stands_by(night: DeployedNight) -> None:
    assert "light curves made" in night.outcome
    assert json.dumps(json.loads(night.services)).count('"standby"') == 1


def test_no_role_may_do_what_is_anothers(night: DeployedNight) -> None:
    assert_refused(night.people)


@pytest.mark.skipif(PROGRAM is None, reason="prometheus is not of this machine: apt-get install prometheus")
def test_alerts_fired_before_programs_were_there_and_are_over(night: DeployedNight) -> None:
    assert night.prometheus is not None  # it saw both alerts
    night.prometheus.wait_for(lambda seen: not {GONE, NO_CONSUMER} & seen.firing().keys())
    for query, told in AT_LAST.items():
        night.prometheus.wait_for(lambda seen, query=query, told=told: sorted(seen.values(query)) == told)
