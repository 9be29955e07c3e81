"""Choose the broker by its URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.broker.local import LocalBroker
from services.broker.protocol import Broker
from services.broker.rabbitmq import RabbitBroker
from services.errors import ConfigurationError

LOCAL_FILE = "broker.db"
FORMS = "amqp://USER:PASSWORD@HOST:5672/VHOST (special characters quoted, @ as %40) or local://"


def connect(url: str, root: Path) -> Broker:
    """Connect to ``amqp(s)://…`` or to ``local://[/PATH]`` (a file under ``root`` unless a path is given).

    Raises:
        ConfigurationError: the URL names no broker that Tianyu knows.
        TransientError: the broker does not answer.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "local":
            return LocalBroker(Path(unquote(parts.path)) if parts.path else root / LOCAL_FILE)
        if parts.scheme in ("amqp", "amqps"):
            return RabbitBroker(url)
    except ValueError:  # its text may hold a part of the password
        raise ConfigurationError(f"TIANYU_BROKER_URL: host or port cannot be read: expected {FORMS}") from None
    raise ConfigurationError(f"broker URL of scheme {parts.scheme!r} is not supported: expected {FORMS}")
