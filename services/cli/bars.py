"""Progress by step, as bars that follow the database."""

import time
from collections.abc import Callable, Sequence

from rich.progress import Progress, TaskID

from schema.processes import SUCCEEDED, UNSUCCESSFUL
from services.cli.console import progress
from services.operating.status import ObservationStatus

POLL_S = 0.1


class StepBars:
    """One bar a command, over all observations that are shown."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def update(self, observations: Sequence[ObservationStatus]) -> None:
        """Show these counts."""
        totals: dict[str, list[int]] = {}
        for observation in observations:
            for one in observation.commands:
                entry = totals.setdefault(one.command, [0, 0, 0])
                entry[0] += one.counts[SUCCEEDED]
                entry[1] += sum(one.counts[state] for state in UNSUCCESSFUL)
                entry[2] += one.total
        for command, (succeeded, unsuccessful, total) in totals.items():
            if command not in self._tasks:
                self._tasks[command] = self._bars.add_task(command, note="")
            self._bars.update(
                self._tasks[command],
                completed=succeeded + unsuccessful,
                total=total,
                note=f"{unsuccessful} not successful" if unsuccessful else "",
            )


def follow(
    look: Callable[[], Sequence[ObservationStatus]],
    done: Callable[[], bool],
    pause: Callable[[], None] = lambda: time.sleep(POLL_S),
) -> None:
    """Show progress until ``done``."""
    with progress() as bars:
        steps = StepBars(bars)
        while not done():
            if not bars.disable:
                steps.update(look())
            pause()
        steps.update(look())
