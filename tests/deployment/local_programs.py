"""The programs of the file for Compose, each on this machine: with the command, the variables, the secrets and the
settings that the file gives it.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from schema.roles import login_name
from tests.acceptance.programs import Programs
from tests.deployment.conftest import ADDRESS, OwnBroker
from tests.deployment.role_logins import Logins
from tests.deployment.topology import our_services
from tests.servers.daemon import free_port
from tests.servers.env import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
RUN_TIMEOUT_S = 60


def run(*command: str | Path, **environment: str) -> str:
    """A command of the deployment, to its end."""
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Deployment:
    """MySQL and RabbitMQ are the tests', with the owner, roles and users of the deployment."""

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
        # Containers have an address each, these programs one together.
        listens = f"{ADDRESS}:{free_port()}"
        return found | {"TIANYU_METRICS_LISTEN": listens, "TIANYU_SWEEP_S": "0.5"}

    def programs(self, name: str) -> tuple[Programs, list[str]]:
        """Of a service: how it is started, and its command."""
        service = our_services()[name]
        command = [
            word.replace("/run/logins", str(self._folder / name / "logins")) for word in service.get("command") or []
        ]
        logs = self._folder / name
        logs.mkdir(exist_ok=True)
        return Programs(self._local(name, service), logs), command

    def replicas(self, name: str) -> list[tuple[Programs, list[str]]]:
        """As many programs of a service as the file says."""
        number = our_services()[name].get("deploy", {}).get("replicas", 1)
        return [self.programs(name) for _ in range(number)]


def metrics_port(programs: Programs) -> int:
    """Where it answers Prometheus."""
    return int(programs.environment["TIANYU_METRICS_LISTEN"].rpartition(":")[2])
