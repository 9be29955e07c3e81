"""Whether the root can take what is made: asked by a thread of its own, for a network disk may not answer."""

import threading
import time
from pathlib import Path

from services import disk
from services.background_thread import BackgroundThread

LOOK_S = 1.0
SILENT_S = 30.0  # after which a disk that does not answer counts as away


class RootWatch:
    """Looks at the root once a second."""

    def __init__(self, root: Path, min_free_bytes: int) -> None:
        self.thread = BackgroundThread("root-watch", self._work)
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._stopped = threading.Event()
        self._look()

    def _look(self) -> None:
        self._found = disk.hindrance(self._root, self._min_free_bytes)
        self._looked = time.monotonic()

    def _work(self) -> None:
        while not self._stopped.wait(LOOK_S):
            self._look()

    def stop(self) -> None:
        """Look no more; a look that does not end is left alone."""
        self._stopped.set()

    @property
    def hindrance(self) -> str:
        """Why no work should be taken; empty where nothing hinders it."""
        silent_s = time.monotonic() - self._looked
        if silent_s < SILENT_S:
            return self._found
        return f"root folder {str(self._root)!r} does not answer: is its disk, or the network to it, away?"
