"""The deployment by Docker Compose, as Compose itself reads it; `test_deployed_night` runs its programs."""

import json
import re
import sys
from pathlib import Path

from schema.roles import RoleStatements
from services.engine.broker.permissions import PERMISSIONS
from tests.deployment.local_programs import DEPLOY, run
from tests.deployment.topology import our_services, topology

METRICS = "0.0.0.0:9464"


def test_the_image_is_built_well() -> None:
    run(Path(sys.executable).with_name("hadolint"), DEPLOY / "Dockerfile")


def test_services_are_confined_and_restarted() -> None:
    for name, service in topology()["services"].items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "@" in service["image"] or ":" in service["image"], f"{name}: pin the image"
        assert service.get("restart") == ("no" if name == "init" else "unless-stopped") or name == "tianyu", name
        if name not in ("init", "tianyu"):
            assert service["healthcheck"]["test"], name
            assert service["deploy"]["resources"]["limits"]["memory"], name
        secret_words = [word for word in service.get("environment", {}) if word.endswith(("PASSWORD", "TOKEN"))]
        assert not secret_words, f"{name}: {secret_words} belong into files"
    for name, service in our_services().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
    assert topology()["services"]["manager"]["deploy"]["replicas"] == 2


def test_readers_are_limited_as_their_role_says() -> None:
    statements = RoleStatements("tianyu", is_mariadb=False)
    assert f"--init-connect={statements.limit_sessions()}" in topology()["services"]["mysql"]["command"]


def test_users_of_the_broker_have_the_rights_of_their_roles() -> None:
    found = json.loads((DEPLOY / "rabbitmq" / "definitions.json").read_text())
    rights = {one.pop("user"): one for one in found["permissions"]}
    wanted = {f"tianyu_{role}": {"vhost": "tianyu", **one._asdict()} for role, one in PERMISSIONS.items()}
    assert rights == wanted
    assert {one["name"] for one in found["users"]} == wanted.keys()


def test_prometheus_asks_all_who_answer() -> None:
    port = METRICS.partition(":")[2]
    who = {name for name, one in our_services().items() if (one["command"] or [])[:1] in (["manager"], ["consumer"])}
    assert all(our_services()[name]["environment"]["TIANYU_METRICS_LISTEN"] == METRICS for name in who)
    asked = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    names, asked_port = re.search(r"names: \[(.*)\].*?port: (\d+)", asked, re.DOTALL).groups()  # type: ignore[union-attr]
    assert (set(names.split(", ")), asked_port) == (who, port)
