"""The broker of the embedded mode: queues in one SQLite file, for any number of processes on one machine.

It loses nothing when a process is killed: a receiver holds a lock on a file of its own, the operating system drops that
lock with the process, and whoever looks next gives its messages back. A power cut may lose messages; the manager sends
those again, since the truth is in the database.
"""

import fcntl
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from services.broker.message import Message, dead_letter_queue
from services.broker.protocol import Deliver, Delivery
from services.errors import TransientError

Result = TypeVar("Result")
POLL_FIRST_S = 0.001
POLL_MOST_S = 0.02  # an idle process looks 50 times a second, for about 0.2 % of a core
BUSY_TIMEOUT_S = 30.0
REAP_INTERVAL_S = 1.0
DELIVERY_LIMIT = 20

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, pid INTEGER NOT NULL, attempt INTEGER NOT NULL,
    owner TEXT, deliveries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS ix_message ON message (queue, owner, id);
CREATE TABLE IF NOT EXISTS queue (name TEXT PRIMARY KEY);
"""


class LocalBroker:
    """A connection to the queue file; the file is made when it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._owners = path.with_name(path.name + ".owners")
        self._subscribed: tuple[str, ...] = ()
        self._heard: tuple[str, ...] = ()
        self._prefetch = 1
        self._deliver: Deliver | None = None
        self._out: set[int] = set()  # tags that we handed over and that are not settled
        self._reaped = 0.0
        try:
            self._owners.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.executescript(SCHEMA)
            self._owner, self._owner_file = self._register()
        except (OSError, sqlite3.Error) as error:
            raise TransientError(
                f"local broker {path} cannot be used: {error}; is its folder there and writable?"
            ) from error

    def _register(self) -> tuple[str, IO[bytes]]:
        """A locked file of our own. One that was reaped before it was locked is no use: make another."""
        while True:
            owner = uuid.uuid4().hex
            path = self._owners / owner
            file = path.open("wb")
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():
                    return owner, file
            file.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise TransientError(f"local broker {self._path} failed: {error}") from error

    def declare(self, queue: str) -> None:
        """Remember the queue's name."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO queue VALUES (?)", [(queue,), (dead_letter_queue(queue),)])

    def declare_events(self, queue: str) -> None:
        """Remember the queue's name."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO queue VALUES (?)", (queue,))

    def send(self, queue: str, messages: Sequence[Message]) -> None:
        """Insert all messages in one transaction."""
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM queue WHERE name = ?", (queue,)).fetchone() is None:
                raise TransientError(f"queue {queue!r} is not declared at local broker {self._path}")
            connection.executemany(
                "INSERT INTO message (queue, pid, attempt) VALUES (?, ?, ?)",
                [(queue, message.pid, message.attempt) for message in messages],
            )

    def subscribe(self, queues: Sequence[str], prefetch: int, deliver: Deliver) -> None:
        """Receive from these queues."""
        self._subscribed, self._prefetch, self._deliver = tuple(queues), prefetch, deliver

    def serve(self, timeout_s: float) -> None:
        """Look for messages, less and less often while there is none."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) >= 0:
            self._poll(left, self._take)

    def listen(self, events: str) -> None:
        """Hear this queue too."""
        self._heard = (*self._heard, events)

    def wait_for_events(self, timeout_s: float) -> int:
        """Look for events, and take all that there are."""
        return self._poll(timeout_s, self._take_events) or 0

    def _poll(self, timeout_s: float, look: Callable[[], Result | None]) -> Result | None:
        deadline = time.monotonic() + timeout_s
        pause = POLL_FIRST_S
        while True:
            if time.monotonic() - self._reaped > REAP_INTERVAL_S:
                self._reap()
            found = look()
            if found is not None or time.monotonic() >= deadline:
                return found
            time.sleep(min(pause, max(deadline - time.monotonic(), 0.0)))
            pause = min(pause * 1.5, POLL_MOST_S)

    def _take_events(self) -> int | None:
        where = f"queue IN ({','.join('?' * len(self._heard))})"
        if not self._is_there(where, self._heard):
            return None
        with self._transaction() as connection:
            return connection.execute(f"DELETE FROM message WHERE {where}", self._heard).rowcount or None  # noqa: S608

    def _is_there(self, where: str, queues: tuple[str, ...]) -> bool:
        """Whether there is a message, without taking the write lock."""
        with self._lock:
            try:
                query = f"SELECT 1 FROM message WHERE {where} LIMIT 1"  # noqa: S608 - marks and fixed words only
                return self._connection.execute(query, queues).fetchone() is not None
            except sqlite3.Error as error:
                raise TransientError(f"local broker {self._path} failed: {error}") from error

    def _take(self) -> bool | None:
        """Hand over a message for which there is room."""
        if len(self._out) >= self._prefetch or not self._is_there(self._free(), self._subscribed):
            return None
        with self._lock:
            with self._transaction() as connection:
                delivery = self._next(connection)
            return self._hand_over(delivery) or None

    def _free(self) -> str:
        return f"queue IN ({','.join('?' * len(self._subscribed))}) AND owner IS NULL"

    def _next(self, connection: sqlite3.Connection) -> Delivery | None:
        """Own the next message, within a transaction."""
        look = f"SELECT id, queue, pid, attempt FROM message WHERE {self._free()} ORDER BY id LIMIT 1"  # noqa: S608
        row = connection.execute(look, self._subscribed).fetchone()
        if row is None:
            return None
        connection.execute(
            "UPDATE message SET owner = ?, deliveries = deliveries + 1 WHERE id = ?", (self._owner, row[0])
        )
        return Delivery(row[1], Message(row[2], row[3]), row[0])

    def _hand_over(self, delivery: Delivery | None) -> bool:
        if delivery is None or self._deliver is None:
            return False
        self._out.add(delivery.tag)
        self._deliver(delivery)
        return True

    def settle(self, delivery: Delivery, *, accepted: bool = True) -> None:
        """Delete the message, or move it to the dead-letter queue; the next one comes with the same transaction."""
        with self._lock:
            room = len(self._out - {delivery.tag}) < self._prefetch
            with self._transaction() as connection:
                if accepted:
                    connection.execute("DELETE FROM message WHERE id = ? AND owner = ?", (delivery.tag, self._owner))
                else:
                    connection.execute(
                        "UPDATE message SET queue = ?, owner = NULL WHERE id = ? AND owner = ?",
                        (dead_letter_queue(delivery.queue), delivery.tag, self._owner),
                    )
                following = self._next(connection) if room and self._deliver else None
            self._out.discard(delivery.tag)
            self._hand_over(following)

    def tell(self, events: str, message: Message) -> None:
        """Insert the event."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO message (queue, pid, attempt) VALUES (?, ?, ?)", (events, message.pid, message.attempt)
            )

    def depth(self, queue: str) -> int:
        """Messages without an owner."""
        with self._lock:
            query = "SELECT COUNT(*) FROM message WHERE queue = ? AND owner IS NULL"
            return int(self._connection.execute(query, (queue,)).fetchone()[0])

    def _reap(self) -> None:
        """Give back the messages of receivers that are dead: their file is no longer locked."""
        self._reaped = time.monotonic()
        for path in self._owners.iterdir():
            if path.name == self._owner:
                continue
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._give_back(path.name)
                    path.unlink(missing_ok=True)
            except (BlockingIOError, FileNotFoundError):
                continue  # alive, or reaped by somebody else

    def _give_back(self, owner: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "UPDATE message SET queue = queue || ?, owner = NULL WHERE owner = ? AND deliveries >= ?",
                (dead_letter_queue(""), owner, DELIVERY_LIMIT),
            )
            connection.execute("UPDATE message SET owner = NULL WHERE owner = ?", (owner,))

    def close(self) -> None:
        """Give the unsettled messages back and leave."""
        with self._lock:
            if self._owner_file.closed:
                return
            self._give_back(self._owner)
            self._owner_file.close()
            (self._owners / self._owner).unlink(missing_ok=True)
            self._connection.close()
