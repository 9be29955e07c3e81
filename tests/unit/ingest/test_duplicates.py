"""The same exposure in two files."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
from astropy.io import fits
from structlog.testing import capture_logs

from services.ingest import duplicates
from services.ingest.duplicates import find_duplicates
from services.ingest.headers import FrameFacts, read_frame
from services.log import get_logger
from tests.unit.ingest.made_frames import header, pixels, write

CARDS = {"DATE_OBS": "2017-12-20T01:33:43", "EXPTIME": 60.0, "OBJECT": "HAT-P-32", "INSTRUME": "cam"}


def aged(*paths: Path) -> list[FrameFacts]:
    """Facts of the frames, each file a minute younger than the one before."""
    for age, path in enumerate(paths):
        os.utime(path, (1.5e9 + 60 * age,) * 2)
    return [read_frame(path) for path in paths]


def test_a_copy_is_found_and_the_older_file_kept(tmp_path: Path) -> None:
    original = write(tmp_path / "z.fits", **CARDS)
    copy = Path(shutil.copy(original, tmp_path / "a.fits"))
    other = write(tmp_path / "b.fits", pixels(2), **CARDS | {"DATE_OBS": "2017-12-20T01:35:00"})
    frames = aged(original, other, copy)
    [(kept, duplicate, reason)] = find_duplicates(frames[::-1])
    assert (kept.path, duplicate.path) == (original, copy)
    assert str(original) in reason
    assert str(copy) in reason
    assert "same content" in reason


def test_copies_without_a_time_are_found(tmp_path: Path) -> None:
    original = write(tmp_path / "bias_1.fits")
    copy = Path(shutil.copy(original, tmp_path / "bias_2.fits"))
    different = write(tmp_path / "bias_3.fits", pixels(2))
    found = find_duplicates(aged(original, copy, different))
    assert [(kept.path, duplicate.path) for kept, duplicate, _ in found] == [(original, copy)]


def test_packed_and_solved_copies_are_found_by_their_pixels(tmp_path: Path) -> None:
    data = pixels(shape=(64, 64))
    original = write(tmp_path / "a.fits", data, **CARDS)
    zipped = tmp_path / "a.fits.gz"
    zipped.write_bytes(gzip.compress(original.read_bytes()))
    tiles = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header(**CARDS))]).writeto(tiles)
    solved = write(tmp_path / "solved.fits", data, **CARDS, CRVAL1=31.3, CRVAL2=46.7)
    found = find_duplicates(aged(original, zipped, tiles, solved))
    assert [(kept.path, duplicate.path) for kept, duplicate, _ in found] == [
        (original, path) for path in (zipped, tiles, solved)
    ]
    assert all("same time and pixels" in reason for _, _, reason in found)


def test_one_time_and_other_pixels_are_two_frames_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A logger keeps the configuration of its first line, which capturing does not reach: one that nobody has used.
    monkeypatch.setattr(duplicates, "log", get_logger("ingest"))
    frames = aged(write(tmp_path / "a.fits", pixels(1), **CARDS), write(tmp_path / "b.fits", pixels(2), **CARDS))
    with capture_logs() as logs:
        assert find_duplicates(frames) == []
    [entry] = logs
    assert entry["times"] == 1
    assert "a.fits" in entry["first"]
    assert "b.fits" in entry["second"]


def test_frames_that_cannot_be_the_same_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [
        read_frame(write(tmp_path / f"{i}.fits", pixels(i), **CARDS | {"DATE_OBS": f"2017-12-20T01:3{i}:00"}))
        for i in range(5)
    ]
    read: list[Path] = []
    for name in ("_file_digest", "_pixel_digest"):
        monkeypatch.setattr(duplicates, name, read.append)
    assert find_duplicates(frames) == []
    assert read == []


def test_a_file_that_is_gone_is_no_duplicate(tmp_path: Path) -> None:
    original = write(tmp_path / "a.fits", **CARDS)
    copy = Path(shutil.copy(original, tmp_path / "b.fits"))
    frames = aged(original, copy)
    copy.unlink()
    assert find_duplicates(frames) == []


@pytest.mark.parametrize(
    ("name", "cards", "dtype"),
    [
        ("elsewhere/x.fits", {"CALSTAT": "BDF"}, "u2"),
        ("reduced/x.fits", {}, "u2"),
        ("elsewhere/a_calibrated.fits", {}, "u2"),
        ("elsewhere/x.fits", {}, "f4"),  # nothing tells it but its pixels
        ("a_out.fits", {}, "f4"),
    ],
)
def test_of_a_raw_frame_and_what_was_made_of_it_the_raw_one_is_used(
    tmp_path: Path, name: str, cards: dict[str, str], dtype: str
) -> None:
    """Also where the reduced one is older by its clock, or trimmed; and not where there is no raw one."""
    made = write(tmp_path / name, pixels(2, (18, 28)).astype(dtype), **CARDS, **cards)
    later = CARDS | {"DATE_OBS": "2017-12-20T01:35:00"}
    alone = write(made.parent / f"b{made.name[1:]}", pixels(3).astype(dtype), **later, **cards)
    raw = write(tmp_path / "a.fits", **CARDS)
    [(kept, duplicate, reason)] = find_duplicates(aged(made, alone, raw))
    assert (kept.path, duplicate.path) == (raw, made)
    assert "is a reduced version of" in reason


def test_two_exposures_of_one_second_are_kept(tmp_path: Path) -> None:
    frames = [write(tmp_path / f"{seed}.fits", pixels(seed).astype("f4"), **CARDS) for seed in (1, 2)]
    frames.append(write(tmp_path / "whole.fits", pixels(3), **CARDS))
    assert find_duplicates(aged(*frames)) == []
