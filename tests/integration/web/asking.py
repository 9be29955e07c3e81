"""A client of the web service, within the test's own process."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.testclient import TestClient

from services.settings import Settings
from services.web.application import application
from services.web.guard import Rules
from services.web.served import Served

HERE = "http://127.0.0.1:8421"


@contextmanager
def asking(settings: Settings, rules: Rules | None = None) -> Iterator[TestClient]:
    """The service of a database; errors are answers."""
    served = Served.open(settings)
    try:
        with TestClient(application(served, rules or Rules()), base_url=HERE) as client:
            yield client
    finally:
        served.close()
