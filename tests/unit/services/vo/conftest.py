"""A client of the services of a made-up night, on SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from schema import database
from services.image_store import open_store
from services.vo.query_limits import QueryLimits
from tests.ready_databases import ready_file
from tests.unit.services import made_up
from tests.unit.services.vo.solved_night import reading_engine, routes_of, solved_night


@pytest.fixture(scope="module")
def night_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database that nobody of a module changes."""
    file = tmp_path_factory.mktemp("vo") / "night.db"
    return fill(file)


def fill(file: Path) -> str:
    """URL of a database in a file, with the night in it."""
    file.write_bytes(ready_file())
    engine = database.connect(f"sqlite:///{file}")
    with database.session_factory(engine)() as session:
        made_up.base_rows(session)
        solved_night(session, open_store(file.parent))
    engine.dispose()
    return f"sqlite:///{file}"


@pytest.fixture(scope="module")
def client(night_url: str) -> Iterator[TestClient]:
    """What asks."""
    engine = reading_engine(night_url)
    root = Path(night_url.removeprefix("sqlite:///")).parent
    with TestClient(Starlette(routes=routes_of(engine, QueryLimits(), root))) as made:
        yield made
    engine.dispose()
