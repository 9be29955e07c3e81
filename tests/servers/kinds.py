"""The servers that the tests need, and what is particular to each."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers import daemon, env, mariadb, mysql, probe, rabbitmq

# Where a developer's own servers listen; other ports show what happens on a machine without them.
DATABASE_PORT_VARIABLE, DATABASE_PORT = "TIANYU_TEST_STANDARD_DB_PORT", 3306
BROKER_PORT_VARIABLE, BROKER_PORT = "TIANYU_TEST_STANDARD_BROKER_PORT", 5672


@dataclass(frozen=True)
class Kind:
    """One kind of server."""

    name: str
    title: str
    variable: str
    expected: str  # how a URL of it looks
    answers: Callable[[str], None]  # raises Refused
    start: Callable[[Path], str]  # a private one in a folder; raises CannotStart
    stop: Callable[[Path], bool]


DATABASE_URL = "mysql+pymysql://USER:PASSWORD@HOST:PORT/"
MARIADB = Kind("mariadb", "MariaDB", env.MARIADB, DATABASE_URL, probe.mariadb, mariadb.start, daemon.stop)
MYSQL = Kind("mysql", "MySQL", env.MYSQL, DATABASE_URL, probe.mysql, mysql.start, daemon.stop)
RABBITMQ = Kind(
    "rabbitmq",
    "RabbitMQ",
    env.BROKER,
    "amqp://USER:PASSWORD@HOST:PORT/VHOST",
    probe.rabbitmq,
    rabbitmq.start,
    rabbitmq.stop,
)
ALL = (MARIADB, MYSQL, RABBITMQ)


def standard_url(kind: Kind, environ: Mapping[str, str] = os.environ) -> str:
    """URL of a server of ``kind`` as a developer's machine has it."""
    if kind is RABBITMQ:
        return f"amqp://guest:guest@127.0.0.1:{environ.get(BROKER_PORT_VARIABLE, BROKER_PORT)}/"
    return f"mysql+pymysql://root@127.0.0.1:{environ.get(DATABASE_PORT_VARIABLE, DATABASE_PORT)}/"
