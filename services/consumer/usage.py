"""What an attempt costs: wall and CPU time, peak memory, bytes read and written, as the kernel counts them."""

import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from schema.queries.life import Usage

SELF = Path("/proc/self")


def _peak_rss() -> int | None:
    """Peak resident bytes since the last reset; the whole life's peak where the platform cannot reset it."""
    try:
        for line in (SELF / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _io_bytes() -> tuple[int | None, int | None]:
    try:
        counters = dict(line.split(": ") for line in (SELF / "io").read_text().splitlines())
    except OSError:
        return None, None
    return int(counters["rchar"]), int(counters["wchar"])


@dataclass(frozen=True)
class Meter:
    """Readings at the start of an attempt."""

    wall: float
    cpu: float
    read: int | None
    written: int | None

    @classmethod
    def start(cls) -> "Meter":
        """Read the counters, and let the kernel count the memory's peak anew."""
        with suppress(OSError):
            (SELF / "clear_refs").write_text("5")
        return cls(time.monotonic(), time.process_time(), *_io_bytes())

    def stop(self) -> Usage:
        """The cost since ``start``."""
        read, written = _io_bytes()
        return Usage(
            seconds=time.monotonic() - self.wall,
            cpu_seconds=time.process_time() - self.cpu,
            max_rss_bytes=_peak_rss(),
            read_bytes=None if read is None or self.read is None else read - self.read,
            write_bytes=None if written is None or self.written is None else written - self.written,
        )
