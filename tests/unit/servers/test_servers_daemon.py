"""A private server's life, with a small real one."""

import os
import socket
import sys
from pathlib import Path

import pytest

from tests.servers import daemon
from tests.servers.errors import CannotStart, Refused

LISTENER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


def answers(url: str) -> None:
    try:
        socket.create_connection(("127.0.0.1", int(url)), timeout=1).close()
    except OSError as error:
        raise Refused(str(error)) from error


def test_a_server_lives_until_it_is_stopped(tmp_path: Path) -> None:
    port = str(daemon.free_port())
    assert daemon.launch(tmp_path, [sys.executable, "-c", LISTENER, port], port, answers) == port
    assert daemon.url(tmp_path) == port
    assert daemon.stop(tmp_path)
    assert daemon.url(tmp_path) is None
    with pytest.raises(Refused):
        answers(port)
    assert not daemon.stop(tmp_path)


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="no room on this disk"):
        daemon.launch(tmp_path, [sys.executable, "-c", "raise SystemExit('no room on this disk')"], "1", answers)
    assert daemon.running(tmp_path) is None


def test_a_stranger_with_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()} 1")  # this process, but another start time
    (tmp_path / "url").write_text("url")
    assert daemon.url(tmp_path) is None
    assert not daemon.stop(tmp_path)


@pytest.mark.parametrize("content", ["", "x", "12", "-1 5", "999999999 5"])
def test_a_broken_pid_file_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    assert daemon.running(tmp_path) is None
