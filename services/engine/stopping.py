"""Programs that leave when they are told to."""

import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


def on_stop(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT, in a thread of its own.

    A handler interrupts the main thread anywhere, also while it holds the lock of the very event that ``stop`` would
    set, and would wait for it for ever. To put something into this queue needs no lock.
    """
    orders: SimpleQueue[None] = SimpleQueue()

    def obey() -> None:
        while True:
            orders.get()
            stop()

    def handle(*_signal: Any) -> None:
        orders.put(None)

    threading.Thread(target=obey, name="stop", daemon=True).start()
    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
