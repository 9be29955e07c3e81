"""A day that was not counted up at midnight."""

from collections.abc import Sequence

import pytest

from services.ingest.headers import FrameFacts
from services.ingest.midnights import over_midnight
from tests.unit.ingest.made_frames import facts

MIDNIGHT = 2460374.5  # JD
MINUTE = 1.0 / 1440.0


def series(minutes: Sequence[float], name: str = "m67_{:04d}.fits") -> list[FrameFacts]:
    """Frames at these minutes from midnight, numbered from 1."""
    return [facts(name.format(n), MIDNIGHT + minute * MINUTE) for n, minute in enumerate(minutes, start=1)]


EVENING, A_DAY = [-3.0, -2.0, -1.0], 1440.0
EARLY = [minute - A_DAY for minute in (0.5, 1.5, 2.5)]  # after midnight, with the date of before


def test_frames_after_a_midnight_that_was_not_counted_are_a_day_later() -> None:
    frames = series([*EVENING, *EARLY])
    found = over_midnight(frames[::-1])[::-1]
    assert [(f.jd_utc - MIDNIGHT) / MINUTE for f in found if f.jd_utc is not None] == pytest.approx(
        [*EVENING, 0.5, 1.5, 2.5], abs=1e-3
    )
    assert [bool(frame.notes) for frame in found] == [False] * 3 + [True] * 3


@pytest.mark.parametrize(
    "frames",
    [
        series([*EVENING, 0.5, 1.5]),  # a date that was counted up
        series([*EVENING, *[minute - 3 * 60.0 for minute in EARLY]]),  # three hours of pause
        series([*EVENING, *EARLY, *EVENING]),  # back and forth: copies
        [*series(EVENING), *series(EARLY, "x_{:04d}.fits")],  # the end of the night before, by its own name
        [*series(EVENING), *series([0.0] * 6 + EARLY)[6:]],  # numbers that leave some out
        series([A_DAY * 10 + 1.0, *EARLY]),  # ten days back
    ],
)
def test_other_steps_back_are_left_alone(frames: list[FrameFacts]) -> None:
    assert over_midnight(frames) == frames
