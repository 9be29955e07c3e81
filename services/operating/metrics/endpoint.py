"""Where Prometheus asks: HTTP on the address of setting `metrics_listen`, answered by a thread of this program."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

from services.deployment import listen_address
from services.errors import ConfigurationError
from services.log import get_logger

log = get_logger("metrics")


@contextmanager
def answering(listen: str, registry: CollectorRegistry) -> Iterator[None]:
    """Answer while the block runs.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    host, port = listen_address(listen)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(
            f"metrics_listen: {host} port {port} cannot be listened on ({error}): each manager and consumer of a "
            "machine needs a port of its own, and a host must be an address of this machine"
        ) from error
    log.info("answering Prometheus", host=host, port=port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
