"""Programs that leave when they are told to."""

import _thread
import signal
from collections.abc import Callable
from typing import Any


def on_stop(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT, each time in a thread of its own.

    A handler interrupts the main thread anywhere, also while it holds the lock of the very event that ``stop`` would
    set, and would wait for it for ever. To start a thread in this way needs no lock. Until a signal comes there is no
    thread, so that a consumer can fork its workers.
    """

    def handle(*_signal: Any) -> None:
        _thread.start_new_thread(stop, ())

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
