"""Choose the broker by its URL."""

from urllib.parse import urlsplit

from services.deployment import Deployment
from services.engine.broker.broker_protocol import Broker
from services.engine.broker.table_queue import TableBroker
from services.errors import ConfigurationError

FORMS = "amqp://USER:PASSWORD@HOST:5672/VHOST (special characters quoted, @ as %40) or local://"


def is_process_table(url: str) -> bool:
    """Whether the URL is ``local://``: no broker, the process table of the database is the queue.

    Raises:
        ConfigurationError: the URL names no broker that Tianyu knows.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may hold a part of the password
        raise ConfigurationError(f"TIANYU_BROKER_URL: host or port cannot be read: expected {FORMS}") from None
    if parts.scheme not in ("local", "amqp", "amqps"):
        raise ConfigurationError(f"broker URL of scheme {parts.scheme!r} is not supported: expected {FORMS}")
    if parts.scheme == "local" and (parts.netloc or parts.path):
        raise ConfigurationError(
            "TIANYU_BROKER_URL: local:// takes no path or host: the process table of the database is the queue"
        )
    return parts.scheme == "local"


def connect(url: str, database_url: str) -> Broker:
    """Connect to ``amqp(s)://…``, or with ``local://`` to the process table of the database.

    Raises:
        ConfigurationError: the URL names no broker that Tianyu knows.
        TransientError: the broker does not answer.
    """
    if is_process_table(url):
        return TableBroker(database_url)
    from services.engine.broker.rabbitmq import RabbitBroker  # pika, which who asks for a queue's name need not load

    try:
        return RabbitBroker(url)
    except ValueError:  # its text may hold a part of the password
        raise ConfigurationError(f"TIANYU_BROKER_URL: host or port cannot be read: expected {FORMS}") from None


def open_broker(settings: Deployment) -> Broker:
    """Connect to the broker of the settings; see ``connect``."""
    return connect(settings.broker_url.get_secret_value(), settings.database_url.get_secret_value())
