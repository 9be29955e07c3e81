"""Ask a server whether it lets us in and does what the tests need."""

from typing import Literal
from uuid import uuid4

import pika
from pika.exceptions import AMQPError
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from tests.servers.errors import Refused

CONNECT_TIMEOUT_S = 5

Flavour = Literal["mariadb", "mysql"]


def flavour(url: str) -> Flavour:
    """Which database server ``mysql+pymysql://…`` is; makes and drops a database there, as the tests do.

    Raises:
        Refused: it cannot be reached, does not know the user, or allows no new database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise Refused("the URL cannot be read: expected mysql+pymysql://USER:PASSWORD@HOST:PORT/") from None
    if parsed.drivername not in ("mysql+pymysql", "mariadb+pymysql") or not parsed.host:
        raise Refused(f"{parsed.drivername!r} is no URL of MySQL: expected mysql+pymysql://USER:PASSWORD@HOST:PORT/")
    name = f"tianyu_test_probe_{uuid4().hex[:12]}"
    timeout = {"connect_timeout": CONNECT_TIMEOUT_S}
    engine = create_engine(parsed, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=timeout)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
            connection.execute(text(f"DROP DATABASE {name}"))
            version = str(connection.execute(text("SELECT VERSION()")).scalar_one())
    except DBAPIError as error:
        raise Refused(f"{parsed.host}:{parsed.port or 3306}: {error.orig}") from error
    except (OSError, RuntimeError) as error:
        raise Refused(f"{parsed.host}:{parsed.port or 3306}: {error}") from error
    return "mariadb" if "mariadb" in version.lower() else "mysql"


def _is(wanted: Flavour, url: str) -> None:
    found = flavour(url)
    if found != wanted:
        raise Refused(f"{make_url(url).render_as_string()} is {found}, wanted is {wanted}")


def mariadb(url: str) -> None:
    """Raise ``Refused`` unless a MariaDB lets us in."""
    _is("mariadb", url)


def mysql(url: str) -> None:
    """Raise ``Refused`` unless a MySQL lets us in."""
    _is("mysql", url)


def rabbitmq(url: str) -> None:
    """Raise ``Refused`` unless a broker lets us in and makes queues."""
    try:
        parameters = pika.URLParameters(url)
    except (ValueError, TypeError) as error:
        raise Refused("the URL cannot be read: expected amqp://USER:PASSWORD@HOST:PORT/VHOST") from error
    parameters.socket_timeout = CONNECT_TIMEOUT_S
    parameters.stack_timeout = 2 * CONNECT_TIMEOUT_S
    parameters.connection_attempts = 1
    try:
        connection = pika.BlockingConnection(parameters)
        connection.channel().queue_declare("", exclusive=True)
        connection.close()
    except (AMQPError, OSError) as error:
        reason = str(error) or repr(error)
        raise Refused(f"{parameters.host}:{parameters.port}: {reason}") from error
