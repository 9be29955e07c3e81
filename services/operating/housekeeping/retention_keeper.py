"""Retention by the active manager, in a thread of its own and at a quiet pace: the work does not wait for it.

It removes images where it sees the disk of its settings' site, else rows and attempts alone. A manager whose user may
not delete (as a login with the role `manager`) says so once: then `tianyu gc --policy` of an operator does it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from schema import database
from schema.queries import old_attempts
from services.background_thread import BackgroundThread
from services.errors import ConfigurationError
from services.log import get_logger
from services.operating.housekeeping.collect import site_at_root
from services.operating.housekeeping.retention import carry_out, require_retention
from services.settings import Settings

log = get_logger("retention")
LOOK_S = 60.0  # whether it is time
PAUSE_S = 0.5  # between observations, and between batches of rows
HOUR_S = 3600.0
WAYS = "run `tianyu gc --policy` by a timer as an operator (docs/how-to/free-space.md)"


class _StoppedError(Exception):
    """The manager is to end; what is left is for the next call."""


class RetentionKeeper:
    """Carries the policy out whenever it is time and the manager is active, until told to stop."""

    def __init__(self, engine: Engine, settings: Settings, is_active: Callable[[], bool]) -> None:
        self.thread = BackgroundThread("retention", self._work)
        self._engine, self._settings, self._is_active = engine, settings, is_active
        self._every_s = require_retention(settings).every_h * HOUR_S
        self._stopped = threading.Event()
        self._said = ""

    def stop(self) -> None:
        """End after what is at hand."""
        self._stopped.set()

    def _work(self) -> None:
        """Look every minute."""
        while not self._stopped.wait(LOOK_S):
            if self._is_active():
                self.look()

    def look(self) -> None:
        """Do what is due; a database that is away, or lacks rights, is for the next time."""
        try:
            self._carry_out_if_due()
        except _StoppedError:
            log.info("stopped, the next manager goes on")
        except ConfigurationError as error:
            self._say_once(str(error))
        except DBAPIError as error:
            lacks = f"; this user may not delete: {WAYS}" if database.is_denied(error) else ""
            self._say_once(f"{error.orig}{lacks}")

    def _carry_out_if_due(self) -> None:
        with database.reading_factory(self._engine)() as session:
            try:
                site_id: int | None = site_at_root(session, self._settings)
            except ConfigurationError as error:
                site_id = None
                self._say_once(f"no images are removed from here: {error}; {WAYS} on a machine of the site")
            since_s = old_attempts.since_last_run_s(session, site_id)
        if since_s is not None and since_s < self._every_s:
            return
        outcome = carry_out(self._engine, self._settings, with_images=site_id is not None, pause=self._pause)
        for one in outcome.gone:
            words = {"rule": one.rule, "observation": one.observation_id, "what": one.what}
            log.info("removed", **words, files=one.files, size_bytes=one.size_bytes, rows=one.rows)
        for line in outcome.failures:
            log.warning("could not be removed", reason=line)
        log.info("retention carried out", failures=len(outcome.failures))

    def _pause(self) -> None:
        if self._stopped.wait(PAUSE_S) or not self._is_active():
            raise _StoppedError

    def _say_once(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            log.warning("retention cannot be carried out", reason=reason)


@contextmanager
def keeping(settings: Settings, is_active: Callable[[], bool]) -> Iterator[None]:
    """Retention goes on meanwhile, where the settings have a policy."""
    if settings.retention is None:
        yield
        return
    engine = database.connect(settings.database_url.get_secret_value())
    keeper = RetentionKeeper(engine, settings, is_active)
    keeper.thread.start()
    try:
        yield
    finally:
        keeper.stop()
        keeper.thread.join(timeout=5.0)
        engine.dispose()
