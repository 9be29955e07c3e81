"""A service says in the database that it is alive, from a thread of its own: what else it does may take long."""

import os
import secrets
import socket
import threading
from collections.abc import Callable
from importlib.metadata import version

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database, revisions
from schema.database import Sessions
from schema.queries import services
from schema.queries.services import Presence
from services.background_thread import BackgroundThread
from services.engine.troubles import Troubles
from services.errors import ConfigurationError
from services.log import get_logger

log = get_logger("presence")
HOST = socket.gethostname()
VERSION = version("tianyu")
WORDS_A_LEASE = 3
AWAY_RETRY_S = 1.0
DATABASE = "database"  # subject of a trouble, told when it is over


def introduce(kind: str, **facts: object) -> Presence:
    """A presence of this process, under a name that no other has."""
    name = f"{kind}:{HOST[:64]}:{os.getpid()}:{secrets.token_hex(4)}"
    return Presence(name=name, kind=kind, host=HOST, version=VERSION, **facts)  # type: ignore[arg-type]


class Announcer:
    """Says again and again that a service is alive, and what hinders it; asks again where the database is away.

    It looks besides whether the database is, or becomes by an upgrade, one that this program cannot use: then
    ``refusal`` says so, and ``on_refusal`` is called.
    """

    def __init__(
        self,
        sessions: Sessions,
        presence: Presence,
        state: str,
        lease_s: float,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self.thread = BackgroundThread(f"{presence.kind}-presence", self._work)
        self._sessions = sessions
        self._presence = presence
        self._state = state
        self._lease_s = lease_s
        self._changed = threading.Event()
        self._stopping = False
        self._on_refusal = on_refusal
        self.refusal: ConfigurationError | None = None
        self.troubles = Troubles(self._changed.set)

    @property
    def state(self) -> str:
        """The one that it tells of."""
        return self._state

    def set_state(self, state: str) -> None:
        """Tell of another state at once."""
        if state != self._state:
            self._state = state
            self._changed.set()

    def stop(self) -> None:
        """Take leave, and end."""
        self._stopping = True
        self._changed.set()
        self.thread.join(timeout=5.0)

    def _work(self) -> None:
        """Announce at once, then again in good time."""
        while not self._stopping:
            self._changed.clear()
            heard = self._say(self._announce)
            if heard:
                self.troubles.ended(DATABASE)  # if there was one this is a change, which is said at once
            self._changed.wait(self._lease_s / WORDS_A_LEASE if heard else AWAY_RETRY_S)
        self._say(lambda session: services.withdraw(session, self._presence.name))

    def _announce(self, session: Session) -> None:
        services.announce(session, self._presence, self._state, self._lease_s, self.troubles.newest())
        outgrown = revisions.outgrown(session.connection(), self._presence.kind)
        if outgrown is not None and self.refusal is None:
            self.refusal = ConfigurationError(outgrown)
            log.error("the database is no longer one that this program can use", reason=str(self.refusal))
            self._on_refusal()

    def _say(self, word: Callable[[Session], None]) -> bool:
        try:
            database.transact(self._sessions, word)
        except DBAPIError as error:
            log.debug("not announced, database away", reason=str(error.orig))
            self.troubles.began(DATABASE, f"the database does not answer: {error.orig}")
            return False
        return True
