"""Random lives of processes on every database, each step compared with the model."""

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import LifeMachine
from tests.model.sql import Sql

STEPS = 50
EXAMPLES = {"sqlite": 50, "mariadb": 8, "mysql": 8}
EXAMPLES_VARIABLE = "TIANYU_TEST_MODEL_EXAMPLES"  # so many, at random, rather than the same ones every time


def test_random_lives_are_those_of_the_model(sql: Sql) -> None:
    examples = os.environ.get(EXAMPLES_VARIABLE)

    class OnThisDatabase(LifeMachine):
        def __init__(self) -> None:
            super().__init__(sql)

    run_state_machine_as_test(
        OnThisDatabase,
        settings=settings(
            max_examples=int(examples or EXAMPLES[sql.dialect]),
            stateful_step_count=STEPS,
            derandomize=examples is None,
            # Shrinking takes minutes; the whole run is printed anyway.
            phases=[Phase.generate] if examples is None else [Phase.generate, Phase.shrink],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
