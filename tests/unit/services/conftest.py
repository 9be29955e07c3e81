"""Sessions on a fresh database of each engine, or on SQLite alone where no SQL is at stake."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from schema import database, versions
from tests.unit.services import made_up


def open_session(url: str) -> Iterator[Session]:
    engine = database.connect(url)
    versions.migrate(engine)
    with database.session_factory(engine)() as session:
        made_up.base_rows(session)
        yield session
    engine.dispose()


@pytest.fixture
def session_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on the database that the settings name."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'night.db'}"
    monkeypatch.setenv("TIANYU_DATABASE_URL", url)
    yield from open_session(url)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    yield from open_session(f"sqlite:///{tmp_path / 'night.db'}")


@pytest.fixture
def any_session(each_database_url: str) -> Iterator[Session]:
    yield from open_session(each_database_url)
