"""The web service as a program of its own, asked over HTTP, and what it costs."""

import http.client
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

from bench.engine.programs import PATIENCE_S, BenchError, Programs
from bench.engine.usage import peak_bytes

PROXY = "sky.example"  # by whose name all ask, from as many addresses as they like
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")
TIMEOUT_S = 120.0
CPU_CLOCK = 2  # of Linux: scheduled time of a whole process


class Service:
    """`tianyu serve` on the database of some settings; ``server``: PID of the database's server."""

    def __init__(self, programs: Programs, logs: Path, server: int | None) -> None:
        self._program = programs.start("serve", "services.cli.app", "serve", "--port", "0", "--behind-proxy", PROXY)
        self._server = server
        self.port = self._listening(logs)

    def _listening(self, logs: Path) -> int:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for log in logs.glob("*-serve.log"):
                if (found := ADDRESS.search(log.read_text())) and _takes_connections(int(found[1])):
                    return int(found[1])
            if self._program.poll() is not None:
                break
            time.sleep(0.1)
        raise BenchError(f"the service does not listen; see {logs}")

    def ask(self, path: str, body: bytes | None = None, content_type: str = "application/json") -> tuple[int, bytes]:
        """Status and content of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        headers = {"Host": PROXY} | ({} if body is None else {"Content-Type": content_type})
        try:
            connection.request("GET" if body is None else "POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def tap(self, adql: str, **more: object) -> tuple[int, bytes]:
        """A question that is answered at once."""
        return self.ask(f"/tap/sync?{urlencode({'QUERY': adql, 'LANG': 'ADQL', **more})}")

    def cpu(self) -> float:
        """Seconds that the service and the database's server have taken."""
        return sum(_cpu(pid) for pid in (self._program.pid, self._server) if pid is not None)

    def peak_mb(self) -> float:
        """The most memory that the service has had."""
        return peak_bytes(self._program.pid) / 1e6

    def taking(self, work: Callable[[], object]) -> tuple[float, float]:
        """Seconds by the clock, and of CPU of service and server."""
        used, began = self.cpu(), time.perf_counter()
        work()
        return time.perf_counter() - began, self.cpu() - used


def _takes_connections(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def _cpu(pid: int) -> float:
    """Of all its threads, those that have ended too, to the nanosecond: POSIX's CPU clock of another process."""
    return time.clock_gettime((~pid << 3) | CPU_CLOCK)
