"""What hinders a service: one trouble a subject, and what is told of them."""

import pytest

from schema.queries.services import Trouble
from services.engine import troubles as module
from services.engine.troubles import Troubles


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_trouble_lasts_until_it_is_over_and_is_kept_then(clock: Clock) -> None:
    changes: list[Trouble | None] = []
    troubles = Troubles(lambda: changes.append(troubles.newest()))
    assert troubles.newest() is None
    troubles.ended("disk")  # nothing was
    troubles.began("disk", "full")
    clock.now += 5.0
    troubles.began("disk", "still full")
    assert troubles.newest() == Trouble("still full", since_s=5.0)
    troubles.ended("disk")
    troubles.ended("disk")
    clock.now += 2.0
    assert troubles.newest() == Trouble("still full", since_s=7.0, until_s=2.0)
    assert changes == [Trouble("full", 0.0), Trouble("still full", 5.0, 0.0)]


def test_the_end_of_one_leaves_the_others(clock: Clock) -> None:
    troubles = Troubles()
    troubles.began("disk", "full")
    clock.now += 1.0
    troubles.began("broker", "away")
    assert troubles.newest() == Trouble("away", 0.0)
    troubles.ended("broker")
    assert troubles.newest() == Trouble("full", 1.0)
