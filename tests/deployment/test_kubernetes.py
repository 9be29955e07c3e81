"""The deployment on Kubernetes: built by kustomize, held against the schemas, and against what programs need."""

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from schema import database
from schema.processes import STATES, ProcessGroup, Site
from schema.queries import publishing
from schema.queries.publishing import NewProcess
from schema.roles import RoleStatements
from services.settings import Settings
from tests.deployment.custom_resources import SCHEMAS
from tests.deployment.manifests import KUBECTL, OVERLAYS, named, pods, resources

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not of this machine")
VERSION = "1.30"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_resources_are_what_kubernetes_takes(overlay: str) -> None:
    seen = set()
    for one in resources(overlay):
        kind = one["apiVersion"], one["kind"]
        if kind in SCHEMAS:
            jsonschema.validate(one, SCHEMAS[kind])
        else:
            kubernetes_validate.validate(one, VERSION, strict=True)
        assert one["kind"] == "PersistentVolume" or one["metadata"]["namespace"] == "tianyu"
        seen.add((*kind, one["metadata"]["name"]))
    assert len(seen) == len(resources(overlay)) > 20


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_confined(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name
    budgets = named(overlay, "PodDisruptionBudget")
    for name in ("manager", "consumer-cpu", "consumer-memory"):
        labels = named(overlay, "Deployment")[name]["spec"]["template"]["metadata"]["labels"]
        assert budgets[name]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert named(overlay, "Deployment")["manager"]["spec"]["replicas"] == 2


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_consumer_that_is_to_go_has_time_for_the_longest_step(overlay: str) -> None:
    settings = Settings()
    longest = settings.time_limit_s["default"] + settings.lease_s
    consumers = {name: pod for name, pod in pods(overlay).items() if name.startswith("consumer-")}
    assert consumers.keys() == {f"consumer-{group}" for group in ("cpu", "memory")}
    for name, pod in consumers.items():
        assert pod["terminationGracePeriodSeconds"] > longest, name
        [container] = pod["containers"]
        assert "livenessProbe" not in container, "a database that is away would end work in hand"


def test_readers_are_limited_as_their_role_says() -> None:
    wanted = RoleStatements("tianyu", is_mariadb=False).limit_sessions()
    [server] = named("single-node", "StatefulSet")["mysql"]["spec"]["template"]["spec"]["containers"]
    assert f"--init-connect={wanted}" in server["args"]
    assert f'init_connect="{wanted}"' in named("cluster", "InnoDBCluster")["mysql"]["spec"]["mycnf"]


@pytest.mark.parametrize("each_ready_url", ["sqlite", "mysql"], indirect=True)
def test_consumers_are_scaled_by_ready_queued_and_running_work(each_ready_url: str) -> None:
    engine = database.connect(each_ready_url)
    with database.session_factory(engine).begin() as session:
        session.add_all([Site(name="local", root="/"), Site(name="other", root="/o")])
        session.add_all([ProcessGroup(name="cpu"), ProcessGroup(name="memory")])
        session.flush()
        for number, state in enumerate((*STATES, "running", "queued"), 1):
            _add(session, number, state)
        _add(session, 100, "waiting", pending=2)  # it cannot begin yet
        _add(session, 101, "running", group="memory")
        _add(session, 102, "running", site="other")
    queries = {
        name: scaled["spec"]["triggers"][0]["metadata"]["query"]
        for name, scaled in named("cluster", "ScaledObject").items()
    }
    with engine.connect() as connection:
        counts: dict[str, Any] = {name: connection.execute(text(query)).scalar() for name, query in queries.items()}
    engine.dispose()
    assert counts == {"consumer-cpu": 5, "consumer-memory": 1}  # waiting, twice queued, twice running
    for name, scaled in named("cluster", "ScaledObject").items():
        assert scaled["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in named("cluster", "Deployment")[name]["spec"], "kubectl apply would undo the scaling"


def _add(session: Session, pid: int, state: str, *, group: str = "cpu", site: str = "local", pending: int = 0) -> None:
    new = NewProcess(pid=pid, graph_pid=pid, command="check", parameters="{}", group=group, observation_id=None)
    publishing.publish(session, [new], site=site, choices_id=None)
    session.execute(
        text("UPDATE process SET status = :state, pending = :pending WHERE pid = :pid"),
        {"state": state, "pending": pending, "pid": pid},
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_prometheus_reaches_the_port_at_which_programs_tell_their_metrics(overlay: str) -> None:
    [rule] = named(overlay, "NetworkPolicy")["metrics"]["spec"]["ingress"]
    let_in = {one["port"] for one in rule["ports"]}
    for name in ("manager", "consumer-cpu", "consumer-memory"):
        [container] = pods(overlay)[name]["containers"]
        [port] = (one["containerPort"] for one in container["ports"] if one["name"] == "metrics")
        environment = {one["name"]: one["value"] for one in container["env"]}
        assert environment["TIANYU_METRICS_LISTEN"] == f"0.0.0.0:{port}"
        assert {port} == let_in
