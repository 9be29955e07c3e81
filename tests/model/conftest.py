"""A database with the tables of Tianyu and that of the model's outputs."""

from collections.abc import Iterator

import pytest

from schema import database, versions
from tests.model.sql import Sql


@pytest.fixture
def sql(each_database_url: str) -> Iterator[Sql]:
    engine = database.connect(each_database_url)
    versions.migrate(engine)
    yield Sql(engine)
    engine.dispose()
