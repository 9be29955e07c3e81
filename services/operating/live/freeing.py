"""Calibrations that a live night itself has replaced go while it grows: each portion makes one of all frames.

What was there before the watch stays as `tianyu gc --rows` would keep it, and so do replaced graphs.
"""

from collections import Counter

from sqlalchemy import Engine

from schema import database
from schema.queries import pruning
from services.operating.housekeeping.prune import Policy, prune
from services.settings import Settings

PORTIONS = 10  # so many are replaced before they are looked for, which looks at all processes of the night


class Freeing:
    """Counts the portions of each observation."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """What ends from now on is the watch's own."""
        self._engine = engine
        self._keep = settings.keep_graphs
        self._portions: Counter[int] = Counter()
        self._began = database.transact(database.session_factory(engine), pruning.now)

    def portion_is_done(self, observation_id: int) -> None:
        """To be called while nothing of it is at work: what is at work is left for the next time."""
        self._portions[observation_id] += 1
        if self._portions[observation_id] >= PORTIONS:
            policy = Policy(self._keep, days=0.0, since=self._began)
            if prune(self._engine, policy, observation_id, dry_run=False):
                del self._portions[observation_id]
