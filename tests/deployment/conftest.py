"""A broker of these tests' own, for users and certificates are of the whole server."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from services.engine.broker.permissions import Permission
from tests.deployment.certificates import Authority, Files
from tests.servers import daemon, rabbitmq

ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class OwnBroker:
    """A RabbitMQ whose users these tests make; it has a port with TLS, too, and one for Prometheus."""

    folder: Path
    port: int
    tls_port: int
    metrics_port: int

    def url(self, user: str, password: str | None, vhost: str, *, tls: bool = False) -> str:
        """For a user of a virtual host."""
        login = user if password is None else f"{user}:{quote(password, safe='')}"
        return f"amqp{'s' * tls}://{login}@{ADDRESS}:{self.tls_port if tls else self.port}/{vhost}"

    def users(self, definitions: Mapping[str, object]) -> None:
        """Make users, virtual hosts and permissions, as a deployment's file has them."""
        path = self.folder / "definitions.json"
        path.write_text(json.dumps(definitions), encoding="utf-8")
        rabbitmq.control(self.folder, "import_definitions", str(path))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the servers' certificates."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def server_files(authority: Authority) -> Files:
    """The certificate of a server on loopback."""
    return authority.issue("server", ADDRESS)


@pytest.fixture(scope="session")
def own_broker(
    authority: Authority, server_files: Files, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnBroker]:
    """Started once, and ended."""
    folder, tls_port, metrics_port = tmp_path_factory.mktemp("rabbitmq"), daemon.free_port(), daemon.free_port()
    lines = {
        "prometheus.tcp.ip": ADDRESS,
        "prometheus.tcp.port": metrics_port,
        "listeners.ssl.1": f"{ADDRESS}:{tls_port}",
        "ssl_options.cacertfile": authority.file,
        "ssl_options.certfile": server_files.certificate,
        "ssl_options.keyfile": server_files.key,
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "false",
    }
    settings = "".join(f"{name} = {value}\n" for name, value in lines.items())
    url = rabbitmq.start(folder, settings, plugins=("rabbitmq_prometheus",))
    yield OwnBroker(folder, int(url.rpartition(":")[2].rstrip("/")), tls_port, metrics_port)
    rabbitmq.kill(folder)


def definitions(vhost: str, permissions: Mapping[str, Permission], password: str) -> dict[str, object]:
    """Users of roles of one virtual host."""
    users = {role: f"{vhost}_{role}" for role in permissions}
    return {
        "vhosts": [{"name": vhost}],
        "users": [{"name": user, "password": password, "tags": ""} for user in users.values()],
        "permissions": [
            {"user": users[role], "vhost": vhost, **permission._asdict()} for role, permission in permissions.items()
        ],
    }


def new_vhost() -> str:
    """A name that no other test has."""
    return f"t{os.getpid()}{secrets.token_hex(3)}"
