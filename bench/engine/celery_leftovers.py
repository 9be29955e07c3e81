"""What Celery leaves in a broker: it goes, unless it was there before."""

from collections.abc import Iterator
from contextlib import contextmanager

import pika
from pika.exceptions import ChannelClosedByBroker

LEVELS = 28  # of delayed delivery, which Celery sets up wherever it finds a quorum queue
LEVEL_NAMES = tuple(f"celery_delayed_{level}" for level in range(LEVELS))
EXCHANGES = (*LEVEL_NAMES, "celery_delayed_delivery", "celeryev", "celery.pidbox", "reply.celery.pidbox")


def _there(connection: pika.BlockingConnection, kind: str, names: tuple[str, ...]) -> set[str]:
    found = set()
    for name in names:
        channel = connection.channel()
        try:
            declare = channel.queue_declare if kind == "queue" else channel.exchange_declare
            declare(name, passive=True)
        except ChannelClosedByBroker:
            continue
        found.add(name)
        channel.close()
    return found


@contextmanager
def removed(broker_url: str, own: str) -> Iterator[None]:
    """Delete the queue and the exchange ``own`` afterwards, and what Celery made beside them."""
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    queues, exchanges = _there(connection, "queue", LEVEL_NAMES), _there(connection, "exchange", EXCHANGES)
    connection.close()
    try:
        yield
    finally:
        connection = pika.BlockingConnection(pika.URLParameters(broker_url))
        channel = connection.channel()
        for queue in (own, *(name for name in LEVEL_NAMES if name not in queues)):
            channel.queue_delete(queue)
        for exchange in (own, *(name for name in EXCHANGES if name not in exchanges)):
            channel.exchange_delete(exchange)
        connection.close()
