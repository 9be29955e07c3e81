"""Whether the root can take what is made."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from services import disk
from services.engine.consumer import root_watch
from services.engine.consumer.root_watch import SILENT_S, RootWatch


def test_a_root_with_room_hinders_nothing(tmp_path: Path) -> None:
    assert disk.hindrance(tmp_path, 0) == ""


def test_a_root_that_is_not_there_is_away(tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to("nowhere")
    assert "root' is away: No such file or directory; is the disk mounted" in disk.hindrance(tmp_path / "root", 0)


def test_a_root_with_less_room_than_is_asked_for_is_full(tmp_path: Path) -> None:
    found = disk.hindrance(tmp_path, 10**18)
    assert "is full: " in found
    assert "MB free, 1000000000000 MB are needed (min_free_bytes)" in found


def test_a_disk_that_is_read_only_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY, f_bavail=1 << 40, f_frsize=4096))
    assert "read-only" in disk.hindrance(tmp_path, 0)


def test_a_disk_that_does_not_answer_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = RootWatch(tmp_path, 0)  # a look that never ends looks as one that never begins
    assert watch.hindrance == ""
    now = watch._looked + SILENT_S
    monkeypatch.setattr(root_watch, "time", SimpleNamespace(monotonic=lambda: now))
    assert "does not answer" in watch.hindrance
