"""Choose the broker by its URL."""

from pathlib import Path
from urllib.parse import urlsplit

from services.broker.local import LocalBroker
from services.broker.protocol import Broker
from services.broker.rabbitmq import RabbitBroker
from services.errors import ConfigurationError

LOCAL_FILE = "broker.db"


def connect(url: str, root: Path) -> Broker:
    """Connect to ``amqp(s)://…`` or to ``local://[/PATH]`` (a file under ``root`` unless a path is given).

    Raises:
        ConfigurationError: the URL names no broker that Tianyu knows.
        TransientError: the broker does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme == "local":
        return LocalBroker(Path(parts.path) if parts.path else root / LOCAL_FILE)
    if parts.scheme in ("amqp", "amqps"):
        return RabbitBroker(url)
    raise ConfigurationError(
        f"broker URL of scheme {parts.scheme!r} is not supported: expected amqp://USER:PASSWORD@HOST:5672/ or local://"
    )
