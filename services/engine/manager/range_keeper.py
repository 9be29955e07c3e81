"""Ranges of the measurement tables, kept by the active manager from a thread of its own: the work does not wait.

A change waits a second at most for whoever reads or writes in an open transaction: all who come later wait behind it.
It is tried again until that session is gone. Nothing is lost meanwhile: what no range is for has a partition, too.
"""

import threading
import time

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from schema import database, partitions
from services.background_thread import BackgroundThread
from services.engine.troubles import Troubles
from services.log import get_logger

log = get_logger("ranges")
LOOK_S = 5.0  # at the newest image
AGAIN_S = 60.0  # after a change that could not be made
MERGE_S = 3600.0  # how often all ranges are looked at
LOCK_WAIT_S = 1
SUBJECT = "partitions"  # of its troubles
RIGHT = "the right ALTER on tables flux and relative_flux"


class RangeKeeper:
    """Adds ranges ahead of the newest image, and merges small ones, until told to stop."""

    def __init__(self, engine: Engine, rows_per_range: int, troubles: Troubles) -> None:
        self.thread = BackgroundThread("ranges", self._work)
        self._engine, self._rows_per_range, self._troubles = engine, rows_per_range, troubles
        self._stopped = threading.Event()
        self._needed_at = 0  # the image from which on ranges are to be added
        self._next_merge = 0.0
        self._full = ""  # why no range can be added
        self._said = ""

    def stop(self) -> None:
        """End when the change at hand is made."""
        self._stopped.set()

    def _work(self) -> None:
        """Look after the ranges; a server without partitions needs nobody."""
        if self._engine.dialect.name == "sqlite":
            return
        pause = 0.0
        while not self._stopped.wait(pause):
            trouble = self._look()
            pause = AGAIN_S if trouble else LOOK_S
            if trouble:
                self._say_once(f"partitions are not as they should be, tried again every minute: {trouble}")
            else:
                self._said = ""
                self._troubles.ended(SUBJECT)
        self._troubles.ended(SUBJECT)

    def _look(self) -> str:
        """Make what is due; returns why it could not be made."""
        try:
            if time.monotonic() >= self._next_merge or self._is_needed():
                self.keep()
                self._next_merge = time.monotonic() + MERGE_S
        except DBAPIError as error:
            if database.is_denied(error):
                return f"this user lacks {RIGHT}, `tianyu doctor` says what to do: {error.orig}"
            return str(error.orig)
        return self._full

    def _is_needed(self) -> bool:
        with self._engine.connect() as connection:
            return partitions.newest_image(connection) >= self._needed_at

    def keep(self) -> None:
        """Look at all ranges, and make what is to be made."""
        with database.changing(self._engine, LOCK_WAIT_S) as connection:
            for line in partitions.arrange(connection, self._rows_per_range):
                log.info("partitions changed", what=line)
            found = partitions.look(connection)
        self._needed_at = min(one.needed_at(self._rows_per_range) for one in found)
        missing = [one.table for one in found if one.missing(self._rows_per_range)]
        self._full = f"no range can be added to {', '.join(missing)}, see `tianyu doctor`" if missing else ""

    def _say_once(self, reason: str) -> None:
        """As long as it is the same."""
        self._troubles.began(SUBJECT, reason)
        if reason != self._said:
            self._said = reason
            log.warning(reason)
