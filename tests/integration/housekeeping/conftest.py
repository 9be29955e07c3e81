"""One database an engine for the whole module, emptied after each test: making the schema takes longer than a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from schema import database, models, versions
from tests.conftest import MARIADB, MYSQL, SQLITE, fresh_database
from tests.integration.housekeeping.house import House


@pytest.fixture(params=[SQLITE, MARIADB, MYSQL], scope="module")
def each_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh_database(request.param, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture(scope="module")
def engine(each_database_url: str) -> Iterator[Engine]:
    engine = database.connect(each_database_url)
    versions.migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def house(engine: Engine, tmp_path: Path) -> Iterator[House]:
    house = House(engine, tmp_path / "root")
    house.found()
    yield house
    with engine.begin() as connection:
        for table in reversed(models.metadata.sorted_tables):
            connection.execute(delete(table))
