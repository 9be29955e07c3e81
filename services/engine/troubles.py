"""What hinders a service: its threads tell of it here, and its `Announcer` writes it into the database.

One trouble a subject ("broker", "disk", …) at a time, so that the end of one leaves the others.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from schema.queries.services import Trouble

BROKER = "broker"  # subject of managers and consumers alike


@dataclass
class _Kept:
    reason: str
    began: float  # by the monotonic clock: the database, whose clock counts, may be what is away
    ended: float | None = None


class Troubles:
    """Those that last, and the last that is over. Any thread may tell."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        """``on_change`` is called when one begins or ends, not when only its reason changes."""
        self._on_change = on_change
        self._lock = threading.Lock()
        self._lasting: dict[str, _Kept] = {}
        self._over: _Kept | None = None

    def began(self, subject: str, reason: str) -> None:
        """A trouble is there, perhaps since an earlier call; the reason is the newest."""
        with self._lock:
            kept = self._lasting.get(subject)
            if kept is None:
                self._lasting[subject] = _Kept(reason, time.monotonic())
            else:
                kept.reason = reason
        if kept is None:
            self._on_change()

    def ended(self, subject: str) -> None:
        """All is well with the subject, perhaps since long."""
        with self._lock:
            kept = self._lasting.pop(subject, None)
            if kept is not None:
                kept.ended = time.monotonic()
                self._over = kept
        if kept is not None:
            self._on_change()

    def newest(self) -> Trouble | None:
        """The one that lasts and began last, else the one that ended last."""
        with self._lock:
            kept = max(self._lasting.values(), key=lambda one: one.began, default=self._over)
            if kept is None:
                return None
            now = time.monotonic()
            return Trouble(kept.reason, now - kept.began, None if kept.ended is None else now - kept.ended)
