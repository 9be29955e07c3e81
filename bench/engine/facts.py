"""On what it was measured: the machine, the servers, and whether what they confirm is on disk."""

import os
import platform
import re
from pathlib import Path
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from bench.engine.places import own_site
from services.engine.broker import connect, work_queue

MYSQL_VARIABLES = ("innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "innodb_flush_method")
TYPE = "x-queue-type"
DIFFERS = re.compile(r"inequivalent arg '(?P<name>[^']+)'.*current is (?:the value )?'(?P<value>[^']*)'", re.DOTALL)


def machine() -> dict[str, str]:
    """Cores, processor, kernel, Python, and what else is running."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cores for this program": str(len(os.sched_getaffinity(0))),
        "processor": cpu.group(1) if cpu else platform.processor(),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "load average over the minute before": f"{os.getloadavg()[0]:.2f}",
    }


def database(server_url: str) -> dict[str, str]:
    """Version and durability of the database server."""
    engine = create_engine(server_url, poolclass=NullPool)
    with engine.connect() as connection:
        found = {
            name: str(connection.execute(text(f"SELECT @@{name}")).scalar_one())  # names are our own constants
            for name in ("version", *MYSQL_VARIABLES)
        }
    binlog = found["log_bin"] != "0"
    durable = found["innodb_flush_log_at_trx_commit"] == "1" and (not binlog or found["sync_binlog"] == "1")
    facts = {f"database, {name}": value for name, value in found.items()}
    return facts | {"database, each commit is on disk": "yes" if durable else "**NO: figures do not count**"}


def queue_type(broker_url: str, queue: str) -> str:
    """What type a queue has, as the broker tells it.

    A declaration with other properties is refused, with the first that differs; so we learn them, the type among them.
    """
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    arguments: dict[str, Any] = {TYPE: "stream"}
    try:
        while True:
            try:
                connection.channel().queue_declare(queue, durable=True, arguments=arguments)
            except ChannelClosedByBroker as refusal:
                found = DIFFERS.search(refusal.reply_text)
                if found is None or found["name"] in arguments.keys() - {TYPE}:
                    return f"not told: {refusal.reply_text}"
                if found["name"] == TYPE:
                    return found["value"]
                arguments[found["name"]] = int(found["value"]) if found["value"].isdigit() else found["value"]
            else:
                return str(arguments[TYPE])
    finally:
        connection.close()


def broker(broker_url: str) -> dict[str, str]:
    """Version of RabbitMQ, and of what type a queue of work is as Tianyu declares it."""
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    properties = connection._impl.server_properties or {}  # pika shows them nowhere else
    connection.close()
    with own_site(broker_url) as site:
        ours = connect(broker_url, "sqlite://")
        ours.declare(work_queue(site, "cpu"))
        kind = queue_type(broker_url, work_queue(site, "cpu"))
        ours.close()
    return {
        "broker, version": str(properties.get("version", "unknown")),
        "broker, type of the queue of work": kind,
        "broker, each confirmed message is on disk": "yes" if kind == "quorum" else "**NO: figures do not count**",
    }
