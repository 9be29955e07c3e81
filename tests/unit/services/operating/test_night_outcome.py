"""Exit codes of a night: short observations beside long ones do not count, unless all are wanted."""

from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import pytest

from schema.processes import FAILED, SUCCEEDED
from services.alike import notes_together
from services.choices import Choices
from services.operating.night_outcome import is_success, side_observations


@dataclass(frozen=True)
class State:
    """What the outcome looks at of an observation."""

    observation_id: int
    frames: int
    end: str
    night: date = date(2026, 11, 20)
    site: str = "local"
    stopped_after: str | None = None


def states(*ends: tuple[int, str]) -> list[Any]:
    return cast("list[Any]", [State(number, frames, end) for number, (frames, end) in enumerate(ends, 1)])


@pytest.mark.parametrize(
    ("ends", "success", "strict"),
    [
        ([(200, SUCCEEDED), (150, SUCCEEDED)], True, True),
        ([(200, SUCCEEDED), (19, FAILED)], True, False),
        ([(200, SUCCEEDED), (20, FAILED)], False, False),
        ([(200, FAILED), (19, SUCCEEDED)], False, False),
        ([(9, SUCCEEDED), (2, FAILED)], True, False),
        ([(9, SUCCEEDED), (3, FAILED)], False, False),
        ([(1, FAILED)], False, False),
        ([(1, SUCCEEDED), (1, FAILED)], False, False),  # none is short beside the other
        ([(200, FAILED), (1, FAILED)], False, False),
        ([], False, False),
    ],
)
def test_a_night_succeeds_by_its_long_observations(ends: list[tuple[int, str]], success: bool, strict: bool) -> None:
    assert is_success(states(*ends), Choices(), strict=False) is success
    assert is_success(states(*ends), Choices(), strict=True) is strict


def test_each_night_has_its_own_longest() -> None:
    other = State(3, 5, FAILED, date(2026, 11, 21))
    assert side_observations([*states((200, SUCCEEDED), (5, FAILED)), cast("Any", other)]) == {2}


def test_what_is_said_alike_is_said_once() -> None:
    lacking = "frames of the same camera, going on without"
    told = [f"observation {number}: no {kind} {lacking}" for number in range(1, 8) for kind in ("bias", "dark")]
    told[1:1] = ["a word on all", "observation 9: no flat " + lacking, "observation 2: two places"]
    assert notes_together(told) == [
        f"observations 1, 2, 3, 4, 5 and 2 more: no bias, dark {lacking}",
        "a word on all",
        f"observation 9: no flat {lacking}",
        "observation 2: two places",
    ]
