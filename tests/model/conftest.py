"""A database with the tables of Tianyu and that of the model's outputs."""

from collections.abc import Iterator

import pytest

from schema import database
from tests.model.sql import OUTPUT, Sql


@pytest.fixture
def sql(each_ready_url: str) -> Iterator[Sql]:
    engine = database.connect(each_ready_url)
    yield Sql(engine)
    OUTPUT.drop(engine)  # else a server's database would not be as new, and the next test would wait for another
    engine.dispose()
