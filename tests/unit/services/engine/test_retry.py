"""What becomes of a process whose attempt failed: every case, without a database."""

from dataclasses import replace
from itertools import product

import pytest

from schema.attempts import Claim, Failure
from services.deployment import Deployment
from services.engine.consumer.retry import MOST_ATTEMPTS, Verdict, decide

CLASSES = ("transient", "surroundings", "data", "configuration", "bug", "poison")
RULES = Deployment(backoff_s=2.0, backoff_max_s=10.0, surroundings_backoff_max_s=300.0, poison_attempts=2)


def claim(attempt: int, max_attempts: int = 3) -> Claim:
    return Claim(7, attempt, max_attempts, "extract", "{}", 1, 4, 1)


def after(error_class: str, attempt: int, *, killed: bool = False, earlier: int = 0, chance: float = 1.0) -> Verdict:
    deaths = [f"attempt {number}: it was ended" for number in range(1, earlier + 1)]
    failure = Failure(error_class, "why", "where")
    return decide(claim(attempt), failure, killed=killed, earlier_deaths=deaths, rules=RULES, chance=chance)


@pytest.mark.parametrize(("attempt", "longest_s"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (50, 10.0)])
def test_the_pause_doubles_up_to_its_limit_and_chance_takes_up_to_half(attempt: int, longest_s: float) -> None:
    one = claim(attempt, max_attempts=100)
    for chance, share in ((0.0, 0.5), (0.5, 0.75), (1.0, 1.0)):
        failure = Failure("transient", "why")
        verdict = decide(one, failure, killed=False, earlier_deaths=[], rules=RULES, chance=chance)
        assert verdict == Verdict(failure, longest_s * share)


@pytest.mark.parametrize(
    ("error_class", "attempt", "killed", "earlier"),
    [
        one
        for one in product(CLASSES, range(1, 6), (False, True), range(4))
        if one[3] < one[1]  # no more deaths than attempts before this one
    ],
)
def test_every_failure(error_class: str, attempt: int, killed: bool, earlier: int) -> None:
    verdict = after(error_class, attempt, killed=killed, earlier=earlier)
    put_aside = killed and earlier >= 1
    assert verdict.failure.error_class == ("poison" if put_aside else error_class)
    again = error_class == "surroundings" or (error_class == "transient" and attempt < 3)
    assert (verdict.retry_in_s is not None) == (again and not put_aside)
    assert verdict.spared == (error_class == "surroundings" and not put_aside)
    if not put_aside:
        assert verdict.failure == Failure(error_class, "why", "where")


@pytest.mark.parametrize(
    ("waited", "longest_s"), [(0, 2.0), (1, 4.0), (6, 128.0), (7, 256.0), (8, 300.0), (20_000, 300.0)]
)
def test_the_surroundings_are_waited_for_longer_each_time_and_for_ever(waited: int, longest_s: float) -> None:
    failure = Failure("surroundings", "disk full", "where")
    for chance, share in ((0.0, 0.5), (1.0, 1.0)):
        verdict = decide(claim(9, max_attempts=9), failure, waited=waited, rules=RULES, chance=chance)
        assert verdict == Verdict(verdict.failure, longest_s * share, spared=True)
        assert verdict.failure == Failure("surroundings", "disk full", None if waited else "where")


def test_attempts_end_before_the_database_cannot_count_them() -> None:
    failure = Failure("surroundings", "disk full")
    assert decide(claim(MOST_ATTEMPTS, MOST_ATTEMPTS), failure, rules=RULES, chance=0.0) == Verdict(failure, None)


def test_what_is_put_aside_says_what_each_time_was() -> None:
    verdict = after("transient", 2, killed=True, earlier=1)
    assert verdict.failure.message == (
        "process 7 (extract) ended its worker 2 times and is not tried again "
        "(attempt 1: it was ended; attempt 2: why); look at `tianyu logs 7`, mend the cause, then `tianyu retry 7`"
    )


def test_a_site_may_put_aside_at_once() -> None:
    rules = Deployment(poison_attempts=1)
    failure = Failure("transient", "why")
    verdict = decide(claim(1), failure, killed=True, earlier_deaths=[], rules=rules, chance=0.0)
    assert (verdict.failure.error_class, verdict.retry_in_s) == ("poison", None)


@pytest.mark.parametrize("killed", [False, True])
def test_beside_a_slow_attempt_a_passing_failure_costs_nothing(killed: bool) -> None:
    beside = replace(claim(3), slow_attempt=2)
    failure = Failure("transient", "why")
    verdict = decide(
        beside, failure, killed=killed, earlier_deaths=["attempt 1: it was ended"], rules=RULES, chance=1.0
    )
    assert verdict == Verdict(failure, 8.0, spared=True)
    for final in ("data", "configuration", "bug"):
        assert decide(beside, Failure(final, "why"), rules=RULES, chance=1.0).retry_in_s is None
    slow = replace(claim(3), slow_attempt=3)  # which claimed again, for want of an answer
    assert decide(slow, failure, rules=RULES, chance=1.0).retry_in_s is None
