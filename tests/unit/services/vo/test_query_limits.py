"""How many questions a database takes at a time."""

import os

import pytest

from services.vo.query_limits import QueryLimits


@pytest.mark.parametrize(("cores", "questions"), [(1, 1), (2, 1), (4, 2), (64, 4)])
def test_a_server_beside_the_engine_keeps_half_of_its_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, questions: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert QueryLimits.of_server("127.0.0.1").at_a_time == questions
    assert QueryLimits.of_server(None).at_a_time == questions
    assert QueryLimits.of_server("db.example.org").at_a_time == 2
    assert QueryLimits().at_a_time == 4
