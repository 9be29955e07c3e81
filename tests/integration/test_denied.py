"""A right that the database denies is an error of the configuration: said, and not tried again for ever."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from schema import database
from schema.processes import ProcessGroup, Site
from schema.queries import publishing, scheduling
from schema.queries.publishing import NewProcess
from services.engine.broker import Broker, Delivery, Message
from services.engine.consumer.slot import Slot
from services.engine.manager.manager import Manager
from services.errors import ConfigurationError
from services.settings import Settings
from services.setup import open_database
from tests.unit.services.engine.test_slot import Broker as Remembering
from tests.unit.services.engine.test_slot import Worker

PATIENCE_S = 30.0
pytestmark = pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)


@pytest.fixture
def settings(each_ready_url: str, tmp_path: Path) -> Iterator[Settings]:
    """Of a user who may only read a database in which process 1 is queued."""
    engine = database.connect(each_ready_url)
    sessions = database.session_factory(engine)
    with sessions.begin() as session:
        session.add_all([Site(name="here", root="/nowhere"), ProcessGroup(name="cpu")])
    with sessions.begin() as session:
        new = [NewProcess(pid=1, graph_pid=1, command="check", parameters="{}", group="cpu", observation_id=None)]
        publishing.publish(session, new, site="here", choices_id=None)
    database.transact(sessions, scheduling.take_ready)
    name = f"tianyu_{uuid4().hex[:16]}"
    with engine.begin() as administrator:
        administrator.execute(text(f"CREATE USER {name}@'%' IDENTIFIED BY 'secret'"))
        administrator.execute(text(f"GRANT SELECT ON `{engine.url.database}`.* TO {name}@'%'"))
    url = engine.url.set(username=name, password="secret").render_as_string(hide_password=False)
    yield Settings(database_url=SecretStr(url), site="here", root=tmp_path)
    with engine.begin() as administrator:
        administrator.execute(text(f"DROP USER {name}@'%'"))
    engine.dispose()


def test_a_manager_that_may_not_write_ends_and_says_why(settings: Settings) -> None:
    stop = threading.Event()
    threading.Timer(PATIENCE_S, stop.set).start()  # it would try for ever
    with pytest.raises(ConfigurationError, match=r"denies what this program needs: .*1142.* denied to user"):
        Manager(settings, stop).run()


def test_a_slot_that_may_not_write_ends_and_says_why(settings: Settings) -> None:
    broker: Broker = Remembering()  # type: ignore[assignment]
    slot = Slot("w", settings, lambda: broker, Worker())  # type: ignore[arg-type]
    slot.thread.start()
    slot.give(Delivery("tianyu.here.cpu", Message(1, 1)))
    slot.thread.join(PATIENCE_S)
    ended = not slot.thread.is_alive()
    slot.leave()
    assert ended
    assert "1142" in str(slot.thread.failure)


def test_a_wrong_password_is_an_error_of_the_configuration(settings: Settings) -> None:
    url = settings.database_url.get_secret_value().replace("secret", "other")
    with pytest.raises(ConfigurationError, match="Access denied"):
        open_database(settings.model_copy(update={"database_url": SecretStr(url)}))
