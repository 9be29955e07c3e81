"""A small night, made once for all files; a database for commands that run in the test's own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from tests.integration.small_night import Night, simulate_night
from tests.unit.services.conftest import open_session


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of the small night; who changes one puts it right again."""
    return simulate_night(tmp_path_factory.mktemp("raw") / "night")


@pytest.fixture(scope="session")
def processed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The small night by one worker, by the defaults; nobody changes it."""
    night = Night.open(tmp_path_factory.mktemp("processed"))
    night.publish(raw)
    night.work()
    assert len(night.light_curves()) > 200
    night.sessions.kw["bind"].dispose()
    return night


@pytest.fixture
def night(processed: Night, tmp_path: Path) -> Night:
    """A copy of it, the test's own."""
    return processed.copy(tmp_path / "work")


@pytest.fixture
def session(tmp_path: Path, ready_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Of the database that commands find in the current folder, which is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", ready_sqlite_url)
    monkeypatch.setenv("TIANYU_ROOT", str(tmp_path))
    yield from open_session(ready_sqlite_url)
