"""The loop of a live night: look at the folder, register what came, publish what is not held up, and wait a moment.

All that was done stands in the database: whoever is killed and started again reads the headers, finds them registered,
and goes on.
"""

import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from schema import database, revisions
from schema.observing import LIGHT
from services.errors import ConfigurationError
from services.ingest.arrivals import Arrivals
from services.ingest.register import Ingest, register
from services.operating.live.alerts import alerts_of
from services.operating.live.portions import Portions
from services.operating.live.rhythm import AWAY_S, LONGEST_LOOK_S, LOOK_SHARE, POLL_S, REGISTER_SHARE, Rhythm
from services.operating.master_files import register_files
from services.settings import Settings
from services.shown import frames as shown_frames

Say = Callable[[str], None]
SCHEMA_S = 20.0  # between looks whether the database was upgraded for later programs


class Watch:
    """One folder and its night.

    ``look_after`` is called at each round; ``note`` is told what happens, in one line for many frames.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        arrivals: Arrivals,
        rhythm: Rhythm,
        note: Say,
        look_after: Callable[[], None] = lambda: None,
    ) -> None:
        self._sessions = database.session_factory(engine)
        self._settings = settings
        self._arrivals = arrivals
        self._rhythm = rhythm
        self._note = note
        self._look_after = look_after
        self._portions = Portions(engine, settings, rhythm, note)
        self._alerts = alerts_of(settings, self._sessions, note)
        self._stop = threading.Event()
        self._leave = threading.Event()
        self._own: set[int] = set()  # observations of the sky with frames in this folder
        self._unregistered = False
        self._masters_at: float | None = None  # when the last calibration frame came
        self._away = ""
        self._look_s = 0.0  # what a look takes that finds nothing
        self._take_at = 0.0  # the next time to look for frames
        self._look_at_schema_at = 0.0

    def stop(self) -> None:
        """Leave, or where the night shall be finished first, finish it; the second time leave at once."""
        if self._stop.is_set() or not self._rhythm.finish:
            self._leave.set()
        self._stop.set()

    def run(self) -> list[int]:
        """Watch until the night is over; returns its observations of the sky, none where it was left before.

        Raises:
            ConfigurationError: a master file that was given cannot be used, or the database was upgraded for later
                programs.
            TianyuError: the consumers die again and again.
        """
        try:
            for line in database.transact(self._sessions, lambda session: register_files(session, self._settings)):
                self._note(line)
            return self._watch()
        finally:
            if self._alerts is not None:
                self._alerts.close()

    def _watch(self) -> list[int]:
        came = time.monotonic()
        while not self._stop.is_set():
            began = time.monotonic()
            if self._round(began):
                came = began
            if self._is_over(began, came):
                break
            self._stop.wait(AWAY_S if self._away else max(POLL_S, LOOK_SHARE * self._look_s))
        if not self._leave.is_set():
            self._finish()
        return [] if self._leave.is_set() else sorted(self._own)

    def _is_over(self, now: float, came: float) -> bool:
        idle, until = self._rhythm.idle_s, self._rhythm.until
        return (idle is not None and now - came >= idle) or (until is not None and time.time() >= until)

    def _finish(self) -> None:
        """Publish the night whole, as one that was published at once, and wait until it is done."""
        self._note("the night is over: it is published whole")
        self._take_at = 0.0
        whole = False
        while not self._leave.is_set():
            now = time.monotonic()
            self._round(now, whole=whole)
            if not whole and not self._away:
                self._portions.add(self._own)
                whole = True
            elif not self._portions.at_work and not self._away:
                return
            self._leave.wait(POLL_S if not self._away else AWAY_S)

    def _round(self, now: float, *, whole: bool = False) -> bool:
        """Whether something came. What is away for a while is said once, and waited for."""
        self._look_after()
        self._require_usable(now)
        try:
            came = self._take(now)
            self._renew(now)
            done = self._portions.advance(now, whole=whole)
            if self._alerts is not None and done:
                self._alerts.look(done)
        except ConfigurationError as error:  # the folder of a network disk that is away
            self._is_away(str(error))
            return False
        except DBAPIError as error:
            if not database.is_away(error):
                raise
            self._is_away(f"the database does not answer: {error.orig}")
            return False
        if self._away:
            self._away = ""
            self._note("it is there again, the night goes on")
        return came

    def _require_usable(self, now: float) -> None:
        """Make sure that the database was not upgraded for later programs."""
        if now < self._look_at_schema_at:
            return
        try:
            with self._sessions() as session:
                outgrown = revisions.outgrown(session.connection(), "watch")
        except DBAPIError as error:
            if not database.is_away(error):
                raise
            return  # which is told by what follows
        if outgrown is not None:
            raise ConfigurationError(outgrown)
        self._look_at_schema_at = now + SCHEMA_S

    def _is_away(self, why: str) -> None:
        if not self._away:
            self._note(f"waiting: {why}")
        self._away = why

    def _take(self, now: float) -> bool:
        """Register what came; what could not be registered is tried again at the next round."""
        if now < self._take_at:
            return False
        taken = self._arrivals.look(now)
        self._look_s = min(time.monotonic() - now, LONGEST_LOOK_S) if not taken else 0.0
        for line in self._arrivals.notes:
            self._note(line)
        if not taken and not self._unregistered:
            return False
        self._unregistered = True
        began = time.monotonic()
        folder, site, root = self._arrivals.folder(), self._settings.site, self._settings.root
        found = database.transact(self._sessions, lambda session: register(session, folder, site=site, root=root))
        self._arrivals.is_registered()
        self._unregistered = False
        ended = time.monotonic()
        self._take_at = ended + REGISTER_SHARE * (ended - began)
        self._tell(found)
        lights = [one for one in found.observations if one.key.kind == LIGHT]
        first_seen = {one.observation_id for one in lights} - self._own
        self._own |= first_seen
        grown = {one.observation_id for one in lights if one.new + one.corrected > one.rejected}
        self._portions.add(grown | first_seen)
        self._portions.add({one.observation_id for one in lights if one.corrected}, changed=True)
        if any(one.new + one.corrected for one in found.observations if one.key.kind != LIGHT):
            self._masters_at = now
        return bool(taken)

    def _tell(self, found: Ingest) -> None:
        new = sum(one.new for one in found.observations if one.key.kind != LIGHT)
        if new:
            self._note(f"{shown_frames(new)} for calibration came")
        for line in found.notes:
            self._portions.tell(line)
        for file, reason in found.rejected:
            self._portions.tell(f"rejected {file!r}: {reason}")

    def _renew(self, now: float) -> None:
        """Calibration frames came and no more come: what was calibrated before without them is calibrated again."""
        if self._masters_at is not None and now - self._masters_at >= self._rhythm.masters_quiet_s:
            self._masters_at = None
            self._portions.add(self._own, changed=True)
