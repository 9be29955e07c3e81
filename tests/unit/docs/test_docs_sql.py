"""Every SQL example runs on a migrated database of each engine, and returns the columns that it names."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from schema import database
from tests.unit.docs.pages import DOCS, PAGES, blocks, name_of

EXAMPLES = [(page, statement) for page in PAGES for block in blocks(page, "sql") for statement in block.split(";")]
EXAMPLES = [(page, statement.strip()) for page, statement in EXAMPLES if statement.strip()]
QUERY_PAGE = DOCS / "how-to" / "query.md"


@pytest.fixture
def engine(each_ready_url: str) -> Iterator[Engine]:
    engine = database.connect(each_ready_url)
    yield engine
    engine.dispose()


def run(engine: Engine, statement: str) -> list[str]:
    with engine.connect().execution_options(**database.READ_ONLY) as connection:
        # A colon would be a parameter; the examples are what a client sends.
        return list(connection.execute(text(statement.replace(":", r"\:"))).keys())


def test_examples_run(engine: Engine) -> None:
    for page, statement in EXAMPLES:
        assert re.match(r"(?i)(--.*\n)*\s*(select|with)\b", statement), f"{name_of(page)}: {statement}"
        assert run(engine, statement)


@pytest.mark.parametrize("page", [QUERY_PAGE, DOCS.parent / "README.md"], ids=name_of)
def test_pages_about_queries_have_examples(page: Path) -> None:
    assert any(of == page for of, _ in EXAMPLES)


def test_a_wrong_column_is_found(engine: Engine) -> None:
    with pytest.raises(Exception, match="flux_absolute"):
        run(engine, "SELECT flux_absolute FROM light_curve")
