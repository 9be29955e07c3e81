"""What nobody who uses these servers can avoid: one message, and two commits, a process."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pika
import pymysql
from sqlalchemy import make_url

from bench.engine.report import Row

MS = 1000.0
COMMITS_A_PROCESS = 2  # a claim and a finish
BODY = b'{"pid": 1700000000000000000, "attempt": 1}'


def messages(broker_url: str, count: int) -> float:
    """ms a message: publish persistently and wait for the confirm, receive, acknowledge; one after the other."""
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    channel, queue = connection.channel(), f"bench{uuid4().hex[:12]}"
    try:
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=1)
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        deliveries = channel.consume(queue)
        start = time.perf_counter()
        for _ in range(count):
            channel.basic_publish("", queue, BODY, properties, mandatory=True)
            method, _, _ = next(deliveries)
            assert method is not None  # only a timeout would give none
            channel.basic_ack(method.delivery_tag)
        connection.process_data_events(0)
        return MS * (time.perf_counter() - start) / count
    finally:
        channel.queue_delete(queue)
        connection.close()


def mysql_commits(database_url: str, count: int) -> float:
    """ms for one UPDATE of one row and its commit, by PyMySQL."""
    url = make_url(database_url)
    connection = pymysql.connect(
        host=url.host or "127.0.0.1",
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.database,
        autocommit=False,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare (pid BIGINT PRIMARY KEY, status VARCHAR(9) NOT NULL) ENGINE=InnoDB")
        cursor.executemany("INSERT INTO bare VALUES (%s, 'queued')", [(pid,) for pid in range(count)])
        connection.commit()
        start = time.perf_counter()
        for pid in range(count):
            cursor.execute("UPDATE bare SET status = 'running' WHERE pid = %s AND status = 'queued'", (pid,))
            connection.commit()
        elapsed = time.perf_counter() - start
        cursor.execute("DROP TABLE bare")
    return MS * elapsed / count


def sqlite_commits(folder: Path, count: int) -> float:
    """The same in a SQLite file with Tianyu's durability (WAL, synchronous NORMAL)."""
    connection = sqlite3.connect(folder / f"{uuid4().hex}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE bare (pid INTEGER PRIMARY KEY, status TEXT NOT NULL)")
    connection.executemany("INSERT INTO bare VALUES (?, 'queued')", [(pid,) for pid in range(count)])
    start = time.perf_counter()
    for pid in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE bare SET status = 'running' WHERE pid = ? AND status = 'queued'", (pid,))
        connection.execute("COMMIT")
    elapsed = time.perf_counter() - start
    connection.close()
    return MS * elapsed / count


def measure(message: Callable[[], float] | None, commit: Callable[[], float], repeats: int) -> list[Row]:
    """Rows for a message (None without a server), a commit, and what both make a process."""
    commits = [commit() for _ in range(repeats)]
    rows = [Row("bare UPDATE and commit", "ms", commits)]
    if message is not None:
        sent = [message() for _ in range(repeats)]
        rows.insert(0, Row("bare message: publish with confirm, receive, ack (pika, quorum queue)", "ms", sent))
        both = [one + COMMITS_A_PROCESS * two for one, two in zip(sent, commits, strict=True)]
        rows.append(Row(f"bare floor: a message and {COMMITS_A_PROCESS} commits", "ms/process", both))
    return rows
