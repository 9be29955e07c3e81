"""Sessions on each engine, and the service as a browser meets it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from sqlalchemy.orm import Session

from services.settings import Settings
from services.web.application import application
from services.web.guard import Rules
from services.web.served import Served
from tests.unit.services.conftest import open_session


@pytest.fixture
def any_session(each_ready_url: str) -> Iterator[Session]:
    yield from open_session(each_ready_url)


@contextmanager
def listening(settings: Settings, rules: Rules | None = None) -> Iterator[str]:
    """Address of the service, answered by a thread."""
    served = Served.open(settings)
    server = uvicorn.Server(uvicorn.Config(application(served, rules or Rules()), port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        served.close()
