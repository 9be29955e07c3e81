"""A thread that ends by a fault takes its program with it, and says why: nobody would do its work."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from schema import database
from services.background_thread import BackgroundThread
from services.engine.consumer.claims import Claims
from services.engine.consumer.consumer import Consumer
from services.engine.consumer.root_watch import RootWatch
from services.engine.embedded import ProcessTree, embedded_settings, process_tree
from services.engine.manager.manager import Manager
from services.engine.manager.range_keeper import RangeKeeper
from services.engine.presence import Announcer
from services.errors import ConfigurationError, TianyuError
from services.settings import Settings, load
from tests.integration.one_process import GROUP, SITE, queue_one

PATIENCE_S = 30.0
FAULT = "ended by a fault of Tianyu's: ValueError: a fault"


class Child:
    """Stands for a worker process, which is never asked to do anything."""

    def ask_to_end(self) -> None:
        pass


@pytest.fixture
def settings(ready_sqlite_url: str, tmp_path: Path) -> Settings:
    engine = database.connect(ready_sqlite_url)
    queue_one(engine)
    engine.dispose()
    return load(database_url=SecretStr(ready_sqlite_url), broker_url=SecretStr("local://"), site=SITE, root=tmp_path)


def _fail(*_arguments: Any) -> None:
    raise ValueError("a fault")


def _stopped_in_time(program: Consumer | Manager) -> threading.Timer:
    """Without it a program that notices nothing would run for ever."""
    timer = threading.Timer(PATIENCE_S, program.stop)
    timer.daemon = True
    timer.start()
    return timer


@pytest.mark.parametrize(
    ("owner", "method"),
    [(Claims, "take"), (Announcer, "_announce"), (RootWatch, "_work")],
    ids=["slot", "presence", "root"],
)
def test_a_consumer_ends_with_its_thread(
    settings: Settings, owner: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, method, _fail)
    consumer = Consumer(settings, [GROUP], [Child()])  # type: ignore[list-item]
    timer = _stopped_in_time(consumer)
    with pytest.raises(TianyuError, match=FAULT):
        consumer.run()
    timer.cancel()


def test_a_thread_that_ends_by_an_error_says_so_whoever_looks() -> None:
    def end() -> None:
        raise ConfigurationError("denied")

    thread = BackgroundThread("retention", end)
    with capture_logs() as logged:
        thread.start()
        thread.join(PATIENCE_S)
    assert [(one["log_level"], one["thread"], one["reason"]) for one in logged] == [("error", "retention", "denied")]
    with pytest.raises(ConfigurationError, match=r"^denied$"):
        thread.raise_failure()


@pytest.mark.parametrize(("owner", "method"), [(Announcer, "_announce"), (RangeKeeper, "_work")])
def test_a_manager_ends_with_its_thread(
    settings: Settings, owner: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, method, _fail)
    manager = Manager(settings)
    timer = _stopped_in_time(manager)
    with pytest.raises(TianyuError, match=FAULT):
        manager.run()
    timer.cancel()


@pytest.mark.parametrize(
    ("error", "expected", "told"),
    [(ValueError("a fault"), TianyuError, FAULT), (ConfigurationError("denied"), ConfigurationError, "^denied$")],
)
def test_a_run_ends_with_its_manager(
    tmp_path: Path, error: Exception, expected: type[TianyuError], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_manager: Manager) -> None:
        raise error

    monkeypatch.setattr(Manager, "run", end)
    with process_tree(embedded_settings(tmp_path / "work"), 1) as tree, pytest.raises(expected, match=told):
        _look_after(tree)


def _look_after(tree: ProcessTree) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        tree.look_after()
        time.sleep(0.1)
