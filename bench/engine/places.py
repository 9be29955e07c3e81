"""A database and queues of their own, gone at the end, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import pika
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from services.engine.broker.message import dead_letter_queue, event_queue, work_queue


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """URL of an empty database on a MariaDB or MySQL server, dropped afterwards."""
    server, name = make_url(server_url), f"tianyu_bench_{uuid4().hex}"
    administrator = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with administrator.connect() as connection:
            # A session that outlived its program may hold a lock for which DROP would wait.
            query = text("SELECT id FROM information_schema.processlist WHERE db = :name")
            for session in connection.execute(query, {"name": name}).scalars().all():
                with suppress(OperationalError):  # it has left meanwhile
                    connection.execute(text(f"KILL {int(session)}"))
            connection.execute(text(f"DROP DATABASE {name}"))


@contextmanager
def own_site(broker_url: str) -> Iterator[str]:
    """Name of a site whose queues are deleted afterwards."""
    site = f"bench{uuid4().hex[:12]}"
    try:
        yield site
    finally:
        if broker_url.startswith("amqp"):
            connection = pika.BlockingConnection(pika.URLParameters(broker_url))
            channel = connection.channel()
            work = work_queue(site, "cpu")
            for queue in (work, dead_letter_queue(work), event_queue(site)):
                channel.queue_delete(queue)  # a queue that is not there is no error
            connection.close()
