"""Calibrations of all frames that a live night itself has replaced go while it grows.

What was there before the watch stays as `tianyu gc --rows` would keep it, and so do replaced graphs.
"""

import time
from collections import Counter
from collections.abc import Iterator

from sqlalchemy import Engine

from schema import database
from schema.queries import pruning
from services.operating.housekeeping.prune import Policy, disown_replaced, removals
from services.settings import Settings

PORTIONS = 4  # so many are replaced before they are looked for, which looks at all processes of the night


class Freeing:
    """Counts the portions of each observation, and removes what they replaced, a little at a time."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """What ends from now on is the watch's own."""
        self._engine = engine
        self._keep = settings.keep_graphs
        self._portions: Counter[int] = Counter()
        self._removing: dict[int, Iterator[int]] = {}
        self._began = database.transact(database.session_factory(engine), pruning.now)

    def portion_is_done(self, observation_id: int) -> None:
        """To be called while nothing of it is at work: what is at work is left for the next time."""
        self._portions[observation_id] += 1
        if self._portions[observation_id] < PORTIONS or observation_id in self._removing:
            return
        policy = Policy(self._keep, days=0.0, since=self._began)
        if disown_replaced(self._engine, policy, observation_id):
            del self._portions[observation_id]
            self._removing[observation_id] = removals(self._engine, observation_id)

    @property
    def at_work(self) -> bool:
        """Whether there are rows to remove."""
        return bool(self._removing)

    def remove(self, for_s: float) -> None:
        """Remove rows for so long; a batch at least, where there are any."""
        until = time.monotonic() + for_s
        while self._removing:
            observation_id, removal = next(iter(self._removing.items()))
            try:
                if next(removal, None) is None:
                    del self._removing[observation_id]
            except Exception:  # the database is away: a generator that raised has ended, and rows are left
                self._removing[observation_id] = removals(self._engine, observation_id)
                raise
            if time.monotonic() >= until:
                return
