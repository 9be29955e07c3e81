"""Searching a folder."""

import os
from pathlib import Path

import pytest

from services.errors import ConfigurationError
from services.ingest.file_names import find_frames, quoted
from tests.unit.ingest.conftest import without_root


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_frames_are_found_by_extension_in_all_subfolders_sorted(tmp_path: Path) -> None:
    names = ["b.fits", "A.FIT", "sub/c.fts", "sub/deep/d.FITS.GZ", "e.fits.fz", "f.fz", "g.fit.gz"]
    expected = [touch(tmp_path / name) for name in names]
    for name in ("notes.txt", "a.gz", "fits", "x.fits.part", ".hidden.fits", ".cache/y.fits"):
        touch(tmp_path / name)
    assert find_frames(tmp_path) == (sorted(expected, key=os.fsencode), [])


def test_awkward_names_are_found(tmp_path: Path) -> None:
    names = [b"with space.fits", b"quote'\".fits", b"new\nline.fits", "星.fits".encode(), b"latin\xff.fits"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    frames, problems = find_frames(tmp_path)
    assert [os.fsencode(frame.name) for frame in frames] == sorted(names)
    assert problems == []
    for frame in frames:
        assert quoted(frame).isprintable()
        quoted(frame).encode()


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    frame = touch(tmp_path / "night/z.fits")
    elsewhere = touch(tmp_path / "other/w.fits")
    (tmp_path / "night/a_loop").symlink_to(tmp_path / "night")
    (tmp_path / "night/link").symlink_to(tmp_path / "other")
    (tmp_path / "night/again").symlink_to(tmp_path / "other")
    (tmp_path / "night/y.fits").symlink_to(elsewhere)
    frames, problems = find_frames(tmp_path / "night")
    assert frame in frames
    assert [path.name for path in frames] == ["w.fits", "y.fits", "z.fits"]
    assert problems == []


def test_a_folder_keeps_its_own_name_beside_a_link_to_it(tmp_path: Path) -> None:
    frame = touch(tmp_path / "z/a.fits")
    (tmp_path / "a").symlink_to(tmp_path / "z")
    assert find_frames(tmp_path) == ([frame], [])


def test_what_cannot_be_a_frame_is_reported_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fits")
    (tmp_path / "gone.fits").symlink_to(tmp_path / "nothing")
    frames, problems = find_frames(tmp_path)
    assert frames == []
    assert [path.name for path, _ in problems] == ["gone.fits", "pipe.fits"]
    assert "link to nothing" in problems[0][1]
    assert "no regular file" in problems[1][1]


def test_an_unreadable_folder_is_reported_and_the_rest_found(shelf: Path) -> None:
    frame = touch(shelf / "open/a.fits")
    locked = touch(shelf / "shut/b.fits").parent
    locked.chmod(0)
    try:
        with without_root():
            frames, problems = find_frames(shelf)
            with pytest.raises(ConfigurationError, match="Permission denied"):
                find_frames(locked)
    finally:
        locked.chmod(0o755)
    assert frames == [frame]
    assert [path for path, _ in problems] == [locked]
    assert "Permission denied" in problems[0][1]


def test_a_folder_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'.*gone' cannot be read: No such file"):
        find_frames(tmp_path / "gone")
    with pytest.raises(ConfigurationError, match=r"a\.fits' is not a folder"):
        find_frames(touch(tmp_path / "a.fits"))


def test_an_empty_folder_has_no_frames(tmp_path: Path) -> None:
    assert find_frames(tmp_path) == ([], [])
