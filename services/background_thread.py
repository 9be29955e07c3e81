"""Threads beside the main one of a program, whose end does not go unnoticed.

They are had, not inherited: `threading.Thread` has names of its own, and versions of Python add to them (3.13 brought
`_handle`, which was a method of ours).
"""

import threading
from collections.abc import Callable

from services.errors import TianyuError
from services.log import get_logger

log = get_logger("threads")


class BackgroundThread:
    """Runs ``work``. What ends it by an error is kept, for the program to end with: nobody would do its work."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self._name, self._work = name, work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.failure: TianyuError | None = None
        """Why it ended before its time."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it has begun and not ended."""
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, so many seconds at most."""
        self._thread.join(timeout)

    def raise_failure(self) -> None:
        """Nothing as long as all is well.

        Raises:
            TianyuError: what ended it.
        """
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            self._work()
        except TianyuError as error:
            log.error("a thread of this program ended", thread=self._name, reason=str(error))
            self.failure = error
        except Exception as error:  # the boundary of a thread: whatever it was, its program is told
            log.exception("a thread of this program ended", thread=self._name)
            self.failure = TianyuError(
                f"thread {self._name!r} ended by a fault of Tianyu's: {type(error).__name__}: {error}; the log has more"
            )
