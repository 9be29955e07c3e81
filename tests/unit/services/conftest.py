"""Sessions on a fresh database of each engine, or on SQLite alone where no SQL is at stake."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from schema import database
from tests.unit.services import made_up


def open_session(url: str) -> Iterator[Session]:
    """On a database with tables and no row; with the rows that all others refer to."""
    engine = database.connect(url)
    with database.session_factory(engine)() as session:
        made_up.base_rows(session)
        yield session
    engine.dispose()


@pytest.fixture
def session_of_settings(tmp_path: Path, ready_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on the database that the settings name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", ready_sqlite_url)
    yield from open_session(ready_sqlite_url)


@pytest.fixture
def session(ready_sqlite_url: str) -> Iterator[Session]:
    yield from open_session(ready_sqlite_url)


@pytest.fixture
def any_session(each_ready_url: str) -> Iterator[Session]:
    yield from open_session(each_ready_url)
