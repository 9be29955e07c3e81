"""Files that commands write: plain ones are replaced whole, devices and pipes get the bytes, all else stays."""

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from services.errors import ConfigurationError, TransientError
from services.whole_files import is_text, whole_file


def write(path: Path, content: str = "new") -> None:
    with whole_file(path) as temporary:
        temporary.write_text(content)


def test_a_plain_file_is_replaced_whole_and_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "lc.csv"
    path.write_text("old")
    path.chmod(0o600)
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["lc.csv"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "lc.csv", tmp_path / "lc.csv"
    real.write_text("old")
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "lc.csv"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path, TransientError) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(TransientError, match=r"lc\.csv' cannot be written: No space left"):
        fail()
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["lc.csv"]


@pytest.mark.parametrize("name", ["/dev/null", "null"])
def test_a_device_stays_a_device(tmp_path: Path, name: str) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    write(tmp_path / name)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_full_device_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="'/dev/full' cannot be written: No space left"):
        write(Path("/dev/full"))


def test_a_pipe_gets_the_bytes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write(pipe)
    reader.join()
    assert got == ["new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_an_open_file_of_the_system_is_written_through(tmp_path: Path) -> None:
    """As in ``--output /dev/stdout > file``: the file that the shell opened is not replaced by another."""
    with (tmp_path / "shell").open("w+") as opened:
        write(Path(f"/proc/self/fd/{opened.fileno()}"))
        assert opened.read() == "new"


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with whole_file(Path("-")) as temporary:
        temporary.write_bytes(b"\x89PNG\0")
    assert capfdbinary.readouterr().out == b"\x89PNG\0"
    assert not Path("-").exists()


def test_a_folder_and_a_socket_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder"):
        write(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(ConfigurationError, match="is a socket"):
            write(tmp_path / "s")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", True),
        ("ä,b\n".encode(), True),
        (b"a\x00b", False),
        (b"\x1b[2J", False),
        (b"\xff\xfe", False),
        (b"x" * 65535 + "ä".encode(), True),  # the character is cut where the look ends
        (b"x" * 65534 + b"\xc3", False),
    ],
)
def test_what_is_text(tmp_path: Path, content: bytes, text: bool) -> None:
    (tmp_path / "file").write_bytes(content)
    assert is_text(tmp_path / "file") is text
