"""Which processes there are and what each waits for, of graphs of all kinds."""

from pathlib import Path

import pytest

from tests.unit.publisher.cases import CASES, GRAPHS


@pytest.mark.parametrize("name", CASES)
def test_graphs_are_those_that_were_looked_at(name: str, tmp_path: Path) -> None:
    assert CASES[name](tmp_path) == (GRAPHS / f"{name}.txt").read_text()


def test_every_graph_that_was_looked_at_is_made() -> None:
    assert {path.stem for path in GRAPHS.iterdir()} == set(CASES)
