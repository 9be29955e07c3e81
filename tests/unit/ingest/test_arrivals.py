"""Which files of a folder that fills are taken, and when."""

import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from services.ingest.arrivals import ABANDONED_S, RESCAN_S, SETTLED_S, Arrivals
from services.ingest.observing_log import read_log
from services.ingest.raw_folder import FrameReader
from tests.unit.ingest.made_frames import header, pixels

LATER = SETTLED_S + 0.1
SHAPE = (100, 150)


def content(folder: Path, *more: fits.ImageHDU, seed: int = 1, **cards: object) -> bytes:
    """Bytes of a frame's file."""
    made = header(IMAGETYP="Light", OBJECT="M67", EXPTIME=30.0, DATE_OBS=f"2026-01-05T20:00:{seed:02d}", **cards)
    path = folder / "made"
    fits.HDUList([fits.PrimaryHDU(pixels(seed, SHAPE), made), *more]).writeto(path, overwrite=True)
    found = path.read_bytes()
    path.unlink()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def arrivals(folder: Path) -> Arrivals:
    return Arrivals(folder, FrameReader())


def names(arrivals: Arrivals) -> list[str]:
    return sorted(frame.path.name for frame in arrivals.folder().frames)


def test_a_frame_is_taken_once_when_it_is_whole_and_still(folder: Path, arrivals: Arrivals) -> None:
    path, whole = folder / "a.fits", content(folder)
    path.write_bytes(whole[: len(whole) // 2])
    assert arrivals.look(0.0) == arrivals.look(LATER) == 0
    path.write_bytes(whole)
    assert arrivals.look(20.0) == 0  # it was changed just now
    assert arrivals.look(20.0 + LATER) == 1
    assert names(arrivals) == ["a.fits"]
    assert arrivals.look(20.0 + 2 * LATER) == arrivals.look(20.0 + RESCAN_S) == 0


@pytest.mark.parametrize("kept", [0, 2880 + 100, -1])
def test_what_has_its_length_before_its_content_is_waited_for(folder: Path, arrivals: Arrivals, kept: int) -> None:
    path, whole = folder / "a.fits", content(folder)
    path.write_bytes(whole[:kept] + bytes(len(whole) - len(whole[:kept])) if kept >= 0 else whole)
    arrivals.look(0.0)
    assert arrivals.look(LATER) == (kept < 0)


@pytest.mark.parametrize("name", ["a.fits.gz", "a.fz", "a.fits"])
def test_files_that_were_cut_anywhere_are_not_taken(folder: Path, arrivals: Arrivals, name: str) -> None:
    whole = content(folder, fits.ImageHDU(pixels(2, SHAPE)))
    if name == "a.fits.gz":
        whole = gzip.compress(whole)
    elif name == "a.fz":
        packed = fits.CompImageHDU(pixels(1, SHAPE), header(IMAGETYP="Light"))
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / "c")
        whole = (folder / "c").read_bytes()
        (folder / "c").unlink()
    path, now = folder / name, 0.0
    for share in (0.05, 0.3, 0.49, 0.8, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        arrivals.look(now)
        assert arrivals.look(now + LATER) == 0, share
        now += 10.0
    path.write_bytes(whole)
    arrivals.look(now)
    assert arrivals.look(now + LATER) == 1


def test_names_of_programs_that_copy_are_no_frames_until_they_are_renamed(folder: Path, arrivals: Arrivals) -> None:
    for name in (".a.fits.Xy12Zq", "b.fits.tmp", "c.fits.part"):
        (folder / name).write_bytes(content(folder, seed=len(name)))
    arrivals.look(0.0)
    assert arrivals.look(LATER) == 0
    (folder / ".a.fits.Xy12Zq").rename(folder / "a.fits")
    arrivals.look(2 * LATER)
    assert arrivals.look(3 * LATER) == 1


def test_a_frame_that_is_moved_when_it_was_taken_is_the_same_frame(folder: Path, arrivals: Arrivals) -> None:
    (folder / "a.fits").write_bytes(content(folder))
    arrivals.look(0.0)
    arrivals.look(LATER)
    (folder / "night").mkdir()
    (folder / "a.fits").rename(folder / "night" / "a.fits")
    arrivals.look(10.0)
    arrivals.look(10.0 + LATER)
    assert names(arrivals) == ["a.fits"]
    assert arrivals.folder().frames[0].path == folder / "a.fits"


def test_what_nobody_writes_any_more_is_told_as_unreadable(folder: Path, arrivals: Arrivals) -> None:
    (folder / "a.fits").write_bytes(content(folder)[:3000])
    (folder / "zeros.fits").write_bytes(
        bytes_of(np.zeros(SHAPE, np.int16), IMAGETYP="Bias", DATE_OBS="2026-01-05T19:00:00")
    )
    arrivals.look(0.0)
    assert arrivals.look(ABANDONED_S - 1.0) == 0
    assert arrivals.look(ABANDONED_S + 100.0) == 2
    found = arrivals.folder()
    assert [path.name for path, _ in found.unreadable] == ["a.fits"]
    assert "truncated" in found.unreadable[0][1]
    assert [frame.path.name for frame in found.frames] == ["zeros.fits"]  # it is whole, and ends in zeros by itself


def bytes_of(data: np.ndarray, **cards: object) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(data, header(**cards)).writeto(stream)
    return stream.getvalue()


def test_a_header_that_is_corrected_later_is_read_again(folder: Path, arrivals: Arrivals) -> None:
    path = folder / "a.fits"
    path.write_bytes(content(folder))
    arrivals.look(0.0)
    arrivals.look(LATER)
    path.write_bytes(content(folder, FILTER="V"))
    os.utime(path, ns=(1, 1))
    assert arrivals.look(RESCAN_S + 1.0) == 0
    assert arrivals.look(RESCAN_S + 1.0 + LATER) == 1
    assert arrivals.folder().frames[0].filter == "V"


def test_a_log_tells_of_each_frame_as_soon_as_names_tell_its_number(folder: Path, tmp_path: Path) -> None:
    told = tmp_path / "log.csv"
    told.write_text("1,2,M67,30,08:51:18,+11:48:00\n3,4,NGC 188,30,00:47:28,+85:15:18\n")
    arrivals = Arrivals(folder, FrameReader(log=read_log(told)))
    # Were the number of a first name its last one, this would be the third frame, of NGC 188.
    (folder / "a_1_3.fits").write_bytes(content(folder, seed=1))
    arrivals.look(0.0)
    assert arrivals.look(LATER) == 0
    (folder / "a_2_3.fits").write_bytes(content(folder, seed=2))
    assert arrivals.look(10.0) + arrivals.look(10.0 + LATER) == 2
    (folder / "b_7_8.fits").write_bytes(content(folder, seed=3))
    arrivals.look(20.0)
    assert arrivals.look(20.0 + ABANDONED_S) == 1
    found = {frame.path.name: frame for frame in arrivals.folder().frames}
    assert [found[name].target for name in sorted(found)] == ["M67", "M67", "M67"]
    assert any("log" in note for note in found["b_7_8.fits"].notes)


def test_a_log_may_name_files_that_are_still_to_come(folder: Path, tmp_path: Path) -> None:
    told = tmp_path / "log.csv"
    told.write_text("a_1_3.fits,a_9_3.fits,NGC 188,30,00:47:28,+85:15:18\n")
    arrivals = Arrivals(folder, FrameReader(log=read_log(told)))
    (folder / "a_2_3.fits").write_bytes(content(folder))
    arrivals.look(0.0)
    assert arrivals.look(LATER) == 1
    assert [frame.target for frame in arrivals.folder().frames] == ["NGC 188"]
