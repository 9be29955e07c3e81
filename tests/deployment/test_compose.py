"""The deployment by Docker Compose: read by Compose itself, and a night by its programs as it starts them.

No engine is needed: each program is started on this machine with the command, the variables, the secrets and the
settings that the file gives it; MySQL and RabbitMQ are the tests', with the owner, roles and users of the deployment.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from schema.roles import RoleStatements, login_name
from services.engine.broker.permissions import PERMISSIONS
from tests.acceptance.programs import Programs
from tests.conftest import MYSQL
from tests.deployment.conftest import ADDRESS, OwnBroker
from tests.deployment.role_logins import Logins, logins
from tests.deployment.test_roles import assert_refused
from tests.deployment.topology import our_services, topology
from tests.integration.small_night import simulate_night
from tests.servers.env import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
RUN_TIMEOUT_S = 60
METRICS = "0.0.0.0:9464"


def run(*command: str | Path, **environment: str) -> str:
    """A command of the deployment, to its end."""
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


class Deployment:
    """Programs of the file, on this machine."""

    def __init__(self, people: Logins, broker: OwnBroker, vhost: str, secrets: Path, folder: Path) -> None:
        server = people.administrator
        self._folder, self._secrets = folder, secrets
        self._places = {
            "mysql:3306/tianyu": f"{server.host}:{server.port}/{server.database}",
            "//tianyu_": f"//{login_name(str(server.database), '')}",
            "rabbitmq:5672/tianyu": f"{ADDRESS}:{broker.port}/{vhost}",
        }
        assert vhost == server.database, "users of both carry one name"

    def _local(self, name: str, service: dict[str, Any]) -> dict[str, str]:
        """Variables as in the file, with paths and addresses of this machine."""
        mounted = {"/data": self._folder / "root", "/etc/tianyu/tianyu.toml": DEPLOY / "settings" / "tianyu.toml"}
        for secret in service.get("secrets", []):
            target = Path("/run/secrets", secret["target"])
            own = self._folder / name / target.relative_to("/run")
            own.parent.mkdir(parents=True, exist_ok=True)
            own.unlink(missing_ok=True)
            shutil.copy(self._secrets / secret["source"], own)
            mounted[str(target)] = own
        found = {}
        for variable, value in service["environment"].items():
            local = str(mounted.get(value, value))
            for there, here in self._places.items():
                local = local.replace(there, here)
            found[variable] = local
        found.pop("TIANYU_METRICS_LISTEN")  # containers have an address each, these programs one together
        return found | {"TIANYU_SWEEP_S": "0.5"}

    def programs(self, name: str) -> tuple[Programs, list[str]]:
        """Of a service: how it is started, and its command."""
        service = our_services()[name]
        command = [
            word.replace("/run/logins", str(self._folder / name / "logins")) for word in service.get("command") or []
        ]
        logs = self._folder / name
        logs.mkdir(exist_ok=True)
        return Programs(self._local(name, service), logs), command


def test_a_night_by_the_programs_of_the_file(own_broker: OwnBroker, tmp_path: Path) -> None:
    raw, secrets = simulate_night(tmp_path / "night"), tmp_path / "secrets"
    run(DEPLOY / "make-secrets.sh", secrets)
    with logins(MYSQL, tmp_path, secrets) as people, ExitStack() as stack:
        vhost = str(people.administrator.database)
        users = run(
            DEPLOY / "rabbitmq" / "start.sh", "cat", tmp_path / "definitions.json",
            SECRETS=str(secrets), DEFINITIONS=str(tmp_path / "definitions.json"),
        )  # fmt: skip
        own_broker.users(json.loads(users.replace('"tianyu', f'"{vhost}')))
        deployment = Deployment(people, own_broker, vhost, secrets, tmp_path)
        initialise, words = deployment.programs("init")
        initialise.run(*words)
        for name in ("manager", "consumer", "consumer-memory"):
            for _ in range(our_services()[name].get("deploy", {}).get("replicas", 1)):
                programs, words = deployment.programs(name)  # each has ports of its own, as a container has
                stack.callback(programs.stop)
                programs.start(*words)
        operator, _ = deployment.programs("tianyu")
        operator.run("ingest", str(raw))
        operator.run("publish", "--all")
        assert "light curves made" in operator.run("status", "--wait", "--timeout", "200").stdout
        alive = json.loads(operator.run("status", "--json").stdout)
        assert json.dumps(alive).count('"standby"') == 1
        assert_refused(people)
