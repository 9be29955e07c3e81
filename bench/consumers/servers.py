"""MariaDB and RabbitMQ for this bench alone, each commit and each confirmed message on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import daemon, mariadb, rabbitmq

DATABASE, BROKER = "MariaDB", "RabbitMQ"


@dataclass(frozen=True)
class Servers:
    """Where they are, and their processes."""

    database_url: str
    broker_url: str
    leaders: dict[str, int]

    def pids(self) -> dict[str, list[int]]:
        """All processes of each server."""
        return {name: daemon.group(leader) for name, leader in self.leaders.items()}


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Both, ended however it ends."""
    places = {name: folder / name.lower() for name in (DATABASE, BROKER)}
    for place in places.values():
        place.mkdir()
    try:
        urls = mariadb.start(places[DATABASE], durable=True), rabbitmq.start(places[BROKER])
        leaders = {name: daemon.running(place) for name, place in places.items()}
        yield Servers(*urls, {name: pid for name, pid in leaders.items() if pid is not None})
    finally:
        rabbitmq.stop(places[BROKER])
        daemon.stop(places[DATABASE])
