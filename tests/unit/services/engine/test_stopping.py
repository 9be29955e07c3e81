"""A signal stops a program wherever it is."""

import signal
import subprocess
import sys

# The main thread is interrupted while it holds the lock that setting the event takes.
HOLDS_THE_LOCK = """
import os, signal, threading
from services.engine.stopping import on_stop

stop = threading.Event()
on_stop(stop.set)
with stop._cond:
    os.kill(os.getpid(), signal.{name})
stop.wait()
print("left")
"""


def test_a_signal_while_the_event_is_held_stops_all_the_same() -> None:
    for name in ("SIGTERM", "SIGINT"):
        assert name in signal.Signals.__members__
        done = subprocess.run(
            [sys.executable, "-c", HOLDS_THE_LOCK.format(name=name)], capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr
