"""What an attempt costs: wall and CPU time, peak memory, bytes read and written, as the kernel counts them."""

import ctypes
import os
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Engine, event

from schema.attempts import Usage

RESET_PEAK = b"5"  # written to clear_refs it lets the kernel count the memory's peak anew
COUNTERS_BYTES = 8192  # longer than the kernel's texts


@cache
def _open(name: str, flags: int = os.O_RDONLY) -> int:
    """A file of /proc/self, kept open: opening costs more than reading."""
    return os.open(f"/proc/self/{name}", flags | os.O_CLOEXEC)


def _number(name: str, label: bytes) -> int | None:
    """The number behind a label in a file of /proc/self; None where the platform has no such file."""
    try:
        text = os.pread(_open(name), COUNTERS_BYTES, 0)
    except OSError:
        return None
    _, found, rest = text.partition(label)
    return int(rest.split(maxsplit=1)[0]) if found else None


def _peak_rss() -> int:
    """Peak resident bytes since the last reset; the whole life's peak where the platform cannot reset it."""
    kilobytes = _number("status", b"VmHWM:")
    if kilobytes is not None:
        return kilobytes * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back() -> None:
    """Let the C library give the system what it keeps of freed memory, where it can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class RowsInserted:
    """Counts rows that are inserted by the connections of an engine, from the last ``reset``."""

    def __init__(self, engine: Engine) -> None:
        self.number = 0
        event.listen(engine, "after_cursor_execute", self._count)

    def reset(self) -> None:
        """Begin anew."""
        self.number = 0

    def _count(self, _connection: Any, cursor: Any, statement: str, *_how: object) -> None:
        if statement.startswith("INSERT"):
            self.number += max(cursor.rowcount, 0)  # a driver that does not know says -1


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
            os.write(_open("clear_refs", os.O_WRONLY), RESET_PEAK)
        return cls(time.monotonic(), time.process_time(), _number("io", b"rchar:"), _number("io", b"wchar:"))

    def stop(self) -> Usage:
        """The cost since ``start``."""
        read, written = _number("io", b"rchar:"), _number("io", b"wchar:")
        return Usage(
            seconds=time.monotonic() - self.wall,
            cpu_seconds=time.process_time() - self.cpu,
            max_rss_bytes=_peak_rss(),
            read_bytes=None if read is None or self.read is None else read - self.read,
            write_bytes=None if written is None or self.written is None else written - self.written,
        )
