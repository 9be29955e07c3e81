"""Messages that the broker would never have sent so: twice, late, early, in another order, unreadable, not at all."""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel

from services.engine.broker.message import Message, dead_letter_queue, work_queue
from tests.chaos.servers import Servers
from tests.chaos.system import System

MOST = 20  # messages at a time
PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent, content_type="application/json")
UNREADABLE = (b"\x80\x04\x95", b"", b"not json", b'{"pid": 1}', b'{"pid": "1", "attempt": 1}', b"[1, 1]")

# Of each process: its PID and the attempt that its message would name.
PLACES = {
    "duplicates": "SELECT pid, attempt + (status = 'queued') FROM process WHERE status IN ('queued', 'running')",
    "late": "SELECT pid, attempt FROM process WHERE status = 'succeeded'",
    "later": "SELECT pid, 1 FROM process WHERE status = 'succeeded'",
    "early": "SELECT pid, attempt + 1 FROM process WHERE status = 'waiting'",
}


def queue_of(system: System) -> str:
    """The one queue of work."""
    return work_queue(system.site, "cpu")


@contextmanager
def channel(servers: Servers) -> Iterator[BlockingChannel]:
    """A channel for a moment."""
    opened = servers.channel()
    try:
        yield opened
    finally:
        opened.connection.close()


def send(system: System, bodies: Sequence[bytes]) -> None:
    """Put ``bodies`` at the end of the queue."""
    with channel(system.servers) as opened:
        for body in bodies:
            opened.basic_publish("", queue_of(system), body, PERSISTENT)


def misplace(system: System, generator: random.Random, place: str) -> int:
    """Send messages that are out of place, in a random order; returns how many."""
    rows = system.sql(PLACES[place] + " ORDER BY pid")
    chosen = generator.sample(rows, min(MOST, len(rows)))
    send(system, [Message(pid, attempt).encode() for pid, attempt in chosen])
    return len(chosen)


def reverse(system: System) -> int:
    """Put what waits in the queue into the opposite order; returns how many messages."""
    with channel(system.servers) as opened:
        bodies: list[bytes] = []
        while True:
            method, _, body = opened.basic_get(queue_of(system))
            if method is None or body is None:
                break
            bodies.append(body)
            last = method.delivery_tag
        for body in reversed(bodies):
            opened.basic_publish("", queue_of(system), body, PERSISTENT)
        if bodies:
            opened.basic_ack(last, multiple=True)
    return len(bodies)


def lose(system: System) -> int:
    """Throw away what waits in the queue; returns how many messages."""
    with channel(system.servers) as opened:
        purged = opened.queue_purge(queue_of(system)).method
    return int(purged.message_count)


def waiting(system: System, queue: str) -> int:
    """Messages in ``queue``."""
    with channel(system.servers) as opened:
        return int(opened.queue_declare(queue, passive=True).method.message_count)


def dead_letters(system: System) -> list[bytes]:
    """Bodies in the dead-letter queue, which stay there."""
    queue = dead_letter_queue(queue_of(system))
    with channel(system.servers) as opened:
        bodies = []
        while (got := opened.basic_get(queue))[0] is not None:
            bodies.append(got[2] or b"")
        return bodies


def pid_of(body: bytes) -> int | None:
    """The PID that a message names; None when nobody can read it."""
    try:
        return int(json.loads(body)["pid"]) if body not in UNREADABLE else None
    except (ValueError, TypeError, KeyError):
        return None
