"""A database server and a broker of our own, which may be killed and come back with their data.

Nothing here touches the servers that other tests share.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pymysql  # type: ignore[import-untyped]
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import make_url

from tests.chaos.proxy import Network, Route
from tests.servers import daemon, mariadb, rabbitmq


@dataclass
class Server:
    """One server process in a folder, and the routes that lead to it."""

    folder: Path
    begin: Callable[[Path], str]
    end: Callable[[Path], None]
    routes: list[Route] = field(default_factory=list)
    url: str = ""

    @property
    def port(self) -> int:
        """Where it listens now; each start takes another port, routes keep theirs."""
        return make_url(self.url).port or 0

    def start(self) -> None:
        """Start it with the data it has, and open the routes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.url = self.begin(self.folder)
        for route in self.routes:
            route.open(self.port)

    def kill(self) -> None:
        """End it by SIGKILL: no goodbye, and nothing listens any more."""
        self.end(self.folder)
        for route in self.routes:
            route.close()

    def add_route(self, route: Route) -> Route:
        """Let ``route`` lead here from now on."""
        self.routes.append(route)
        route.open(self.port)
        return route


@dataclass
class Servers:
    """MariaDB with every commit on disk, and RabbitMQ with quorum queues, which write before they confirm."""

    database: Server
    broker: Server
    network: Network
    _connection: Any = None  # kept: progress is looked at many times a second

    @classmethod
    def start(cls, folder: Path) -> "Servers":
        """Start both in ``folder``."""
        servers = cls(
            Server(folder / "mariadb", partial(mariadb.start, durable=True), daemon.kill),
            Server(folder / "rabbitmq", rabbitmq.start, rabbitmq.kill),
            Network(),
        )
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(server.start) for server in (servers.database, servers.broker)]:
                started.result()
        return servers

    def stop(self) -> None:
        """End both for good."""
        for server in (self.database, self.broker):
            server.kill()
        self.network.stop()

    def make_database(self, name: str) -> None:
        """Make an empty database."""
        self.sql(None, f"CREATE DATABASE {name}")

    def sql(self, database: str | None, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement on a connection past all routes; its rows."""
        if self._connection is None:
            self._connection = pymysql.connect(host="127.0.0.1", port=self.database.port, user="root", autocommit=True)
        try:
            if database is not None:
                self._connection.select_db(database)
            with self._connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return list(cursor.fetchall())
        except pymysql.Error:
            self._connection = None  # the server was killed since: the next one is asked anew
            raise

    def direct_url(self, database: str) -> str:
        """SQLAlchemy's URL of a database, past all routes."""
        return f"{self.database.url}{database}"

    def forget_connection(self) -> None:
        """Ask the next server that starts, not the one that was killed."""
        self._connection = None

    def channel(self) -> BlockingChannel:
        """A channel with confirms past all routes; ``channel.connection`` is the caller's to close."""
        channel = pika.BlockingConnection(pika.URLParameters(self.broker.url)).channel()
        channel.confirm_delivery()
        return channel
