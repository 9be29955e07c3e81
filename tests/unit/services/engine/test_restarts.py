"""A consumer that dies now and then is started again all night; one that dies again and again is not."""

from services.engine.embedded import MOST_RESTARTS, RESTARTS_WITHIN_S, Restarts


def test_deaths_count_within_an_hour() -> None:
    rare, often = Restarts(), Restarts()
    assert all(rare.allow(number * 1.01 * RESTARTS_WITHIN_S / MOST_RESTARTS) for number in range(100))
    assert [often.allow(float(number)) for number in range(MOST_RESTARTS + 1)] == [True] * MOST_RESTARTS + [False]
    assert often.allow(2.0 * RESTARTS_WITHIN_S)
