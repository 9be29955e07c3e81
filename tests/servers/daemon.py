"""A server of our own: one process group in one folder, which outlives the program that started it."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.servers.errors import CannotStart, Refused

READY_TIMEOUT_S = 120.0  # a cold start on two busy cores
STOP_TIMEOUT_S = 30.0
POLL_S = 0.1
LOG_LINES_SHOWN = 15
EPHEMERAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
IANA_FIRST_EPHEMERAL = 49152
PORTS_BELOW = 10_000  # as many ports below the ephemeral ones are tried
SHARES = 16  # of the ports: each program of a parallel run of tests has one of its own, up to so many

PID_FILE = "pid"
URL_FILE = "url"
LOG_FILE = "log"


_given: set[int] = set()  # who has one may close it and open it again


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that no outgoing connection takes meanwhile.

    No port is given twice, to no two programs of a run of tests either.
    A client that tries again and again on an ephemeral port of its own machine may at last connect to itself.
    """
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1
    try:
        first_ephemeral = int(EPHEMERAL_PORTS.read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        first_ephemeral = IANA_FIRST_EPHEMERAL
    while True:
        # Where nearly all are ephemeral, the lowest ones that need no privilege.
        port = random.randrange(max(1024, first_ephemeral - PORTS_BELOW), max(1024 + PORTS_BELOW, first_ephemeral))
        if port % SHARES != share % SHARES or port in _given:
            continue
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            _given.add(port)
            return port


def started_at(pid: int) -> str | None:
    """Start time of a live process in clock ticks since boot: with the PID it names a process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold spaces
    return None if fields[0] == "Z" else fields[19]


def running(folder: Path) -> int | None:
    """PID of the server of ``folder`` if it lives."""
    file = folder / PID_FILE
    words = file.read_text(encoding="utf-8").split() if file.is_file() else []
    if len(words) != 2 or not words[0].isdigit() or started_at(int(words[0])) != words[1]:
        return None
    return int(words[0])


def url(folder: Path) -> str | None:
    """URL of the server of ``folder`` if it lives."""
    file = folder / URL_FILE
    return file.read_text(encoding="utf-8").strip() if running(folder) and file.is_file() else None


def launch(
    folder: Path,
    command: Sequence[str | Path],
    server_url: str,
    answers: Callable[[str], None],
    environ: Mapping[str, str] | None = None,
) -> str:
    """Start ``command`` and wait until ``answers`` raises no more; returns ``server_url``.

    Raises:
        CannotStart: the process ended or did not answer in time; the message ends with its log.
    """
    log = folder / LOG_FILE
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, start_new_session=True
        )
    (folder / PID_FILE).write_text(f"{process.pid} {started_at(process.pid)}", encoding="utf-8")
    (folder / URL_FILE).write_text(server_url, encoding="utf-8")
    deadline = time.monotonic() + READY_TIMEOUT_S
    reason = "it ended"
    while process.poll() is None and time.monotonic() < deadline:
        try:
            answers(server_url)
        except Refused as refusal:
            reason = str(refusal)
            time.sleep(POLL_S)
        else:
            return server_url
    stop(folder)
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    raise CannotStart("\n    ".join([f"{command[0]} did not start ({reason}); its log {log} ends:", *tail]))


def kill(folder: Path) -> None:
    """End the server of ``folder`` by SIGKILL and wait until all its processes are gone; its data stay."""
    leader = running(folder)
    if leader is None:
        return
    os.killpg(leader, signal.SIGKILL)
    while any(started_at(pid) for pid in group(leader)):
        time.sleep(POLL_S / 10)


def group(leader: int) -> list[int]:
    """PIDs of the process group of ``leader``, those that ended and were not asked for included."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[2]) == leader:
                members.append(int(stat.parent.name))
    return members


def stop(folder: Path) -> bool:
    """End the server of ``folder``; False if none was running."""
    pid = running(folder)
    if pid is not None:
        os.killpg(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while running(folder) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if running(folder):
            os.killpg(pid, signal.SIGKILL)
    for name in (PID_FILE, URL_FILE):
        (folder / name).unlink(missing_ok=True)
    return pid is not None
