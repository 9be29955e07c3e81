"""What those who wait are told: what is stuck, and what is wrong with the surroundings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from services.cli.console import note

if TYPE_CHECKING:
    from services.operating.status import ObservationStatus, Overview

POLL_S = 0.5
LOOK_S = 10.0  # between looks for what hinders


class TooLateError(Exception):
    """What was waited for has not come."""


class Patience:
    """Waits a moment at each call; says once what hinders, lest somebody wait for what cannot come."""

    def __init__(self, look: Callable[[], Overview], timeout_s: float | None = None, poll_s: float = POLL_S) -> None:
        self._look = look
        self._end = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._poll_s = poll_s
        self._next_look = time.monotonic()
        self._before: set[str] = set()
        self._said: set[str] = set()

    def __call__(self) -> None:
        if time.monotonic() >= self._end:
            raise TooLateError
        time.sleep(self._poll_s)
        if time.monotonic() >= self._next_look:
            self.tell(self._look())
            self._next_look = time.monotonic() + LOOK_S

    def tell(self, found: Overview) -> None:
        """Say what hindered at the last look too: much that is stuck for a moment is freed by the manager."""
        now = _hindrances(found)
        for key in sorted(now.keys() & self._before - self._said):
            note(now[key])
        self._said |= now.keys() & self._before
        self._before = set(now)


def _hindrances(found: Overview) -> dict[str, str]:
    """What is to be said, by what makes it the same as before."""
    from services.alike import gist
    from services.cli.overview_tables import hindrance

    stuck = (f"stuck: {one.why}; {one.remedy}" for one in found.stuck)
    return {line: line for line in stuck} | {
        gist(one.reason): f"waits, and goes on by itself: {hindrance(one)}" for one in found.hindered
    }


def follow(
    look: Callable[[], Sequence[ObservationStatus]], done: Callable[[], bool], whole: Callable[[], Overview]
) -> None:
    """Show progress until ``done``, and say what hinders: `tianyu run` has nobody else who would."""
    from services.cli import bars

    bars.follow(look, done, Patience(whole, poll_s=bars.POLL_S))
