"""A worker that falls silent in the midst of its commit, frozen or cut off: the server gives its locks to others."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from schema import database
from schema.base import table_of
from schema.processes import RUNNING, Process
from schema.queries import life
from services.choices import Choices
from services.deployment import Deployment
from services.engine.consumer import worker
from services.engine.consumer.worker import Report, Worker
from services.errors import SurroundingsError
from tests.conftest import MARIADB, MYSQL
from tests.integration.one_process import GROUP, PID, SITE, queue_one

PATIENCE_S = 20
_process = table_of(Process)


class Freeze:
    """A step whose results stop on their way into the database, its process already marked as succeeded there."""

    read_of: ClassVar[dict[str, object]] = {}

    def __init__(self) -> None:
        self.frozen, self.thawed = threading.Event(), threading.Event()

    def start(self, _context: object, _parameters: str) -> Callable[[Session], None]:
        return self._store

    def _store(self, _session: Session) -> None:
        self.frozen.set()
        self.thawed.wait(2 * PATIENCE_S)


@pytest.mark.parametrize("each_ready_url", [MARIADB, MYSQL], indirect=True)
def test_a_frozen_worker_loses_its_locks_and_commits_nothing(
    each_ready_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Freeze()
    monkeypatch.setitem(worker.STEPS, "freeze", step)  # type: ignore[arg-type]  # no more of a step than is called
    monkeypatch.setattr(database, "SILENCE_S", 1)
    engine = database.connect(each_ready_url)
    queue_one(engine, "freeze")
    taking = life.claim(PID, 1, site=SITE, group=GROUP, worker="w", host="h", version="v", lease_s=60.0)
    with engine.begin() as connection:
        claim = taking.run(connection)
    assert claim is not None
    one = Worker(Deployment(database_url=SecretStr(each_ready_url), root=tmp_path))
    one._choices_of = lambda _claim: Choices()  # type: ignore[method-assign]
    reports: list[Report] = []
    working = threading.Thread(target=lambda: reports.append(one.run(claim)))
    working.start()
    try:
        assert step.frozen.wait(PATIENCE_S)
        with engine.begin() as other:
            other.execute(text(f"SET SESSION innodb_lock_wait_timeout = {PATIENCE_S}"))
            assert other.execute(select(_process.c.status).with_for_update()).scalar_one() == RUNNING
    finally:
        step.thawed.set()
        working.join(PATIENCE_S)
        engine.dispose()
    [report] = reports
    assert report.failure is not None
    assert report.failure.error_class == SurroundingsError.error_class
