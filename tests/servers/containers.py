"""Servers by ``docker compose``, where an engine answers."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from tests.servers import programs
from tests.servers.errors import CannotStart, Refused

COMPOSE_FILE = Path(__file__).with_name("compose.yml")
PORTS = {"mariadb": 3306, "mysql": 3306, "rabbitmq": 5672}
URLS = {
    "mariadb": "mysql+pymysql://root@{address}/",
    "mysql": "mysql+pymysql://root@{address}/",
    "rabbitmq": "amqp://guest:guest@{address}/",
}
USED = "containers"  # this file says that there is something to take down
ASK_TIMEOUT_S = 20.0
PULL_TIMEOUT_S = 900.0
READY_TIMEOUT_S = 180.0
POLL_S = 0.5


def compose(home: Path) -> list[str | Path]:
    """The command of this checkout's project.

    Raises:
        CannotStart: docker or its compose is not installed, or no engine answers.
    """
    programs.run(["docker", "info"], ASK_TIMEOUT_S)
    programs.run(["docker", "compose", "version"], ASK_TIMEOUT_S)
    project = "tianyu-test-" + hashlib.blake2b(str(home).encode(), digest_size=4).hexdigest()
    return ["docker", "compose", "-p", project, "-f", COMPOSE_FILE]


def start(home: Path, service: str, answers: Callable[[str], None]) -> str:
    """Start ``service`` and wait until it lets us in; returns the URL.

    Raises:
        CannotStart: no engine, no image, or no answer in time.
    """
    command = compose(home)
    (home / USED).touch()
    programs.run([*command, "up", "--detach", service], PULL_TIMEOUT_S)
    address = programs.run([*command, "port", service, str(PORTS[service])], ASK_TIMEOUT_S).strip()
    url = URLS[service].format(address=address)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            answers(url)
        except Refused as reason:
            if time.monotonic() > deadline:
                raise CannotStart(f"container {service} does not let us in: {reason}") from reason
            time.sleep(POLL_S)
        else:
            return url


def stop(home: Path) -> bool:
    """Remove this checkout's containers; False if it never had any."""
    if not (home / USED).exists():
        return False
    programs.run([*compose(home), "down", "--volumes"], READY_TIMEOUT_S)
    (home / USED).unlink()
    return True
