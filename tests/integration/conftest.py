"""A working folder with a database for commands that run in the test's own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from tests.unit.services.conftest import open_session


@pytest.fixture
def session(tmp_path: Path, ready_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Of the database that commands find in the current folder, which is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", ready_sqlite_url)
    monkeypatch.setenv("TIANYU_ROOT", str(tmp_path))
    yield from open_session(ready_sqlite_url)
