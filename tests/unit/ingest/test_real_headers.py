"""Real frames of HAT-P-32: with their headers, without, by patterns and by a log they are the same observation."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from services.header_reading import Reading
from services.ingest.grouping import ObservationKey, group
from services.ingest.headers import FrameFacts
from services.ingest.observing_log import ObservingLog, read_log
from services.ingest.raw_folder import read_folder

A_FEW = 6
PATTERN = r"(?P<obj>HATP-32)(?P<sn>17122001\d{4})\d*\.FITS"


@pytest.fixture(scope="module")
def frames(real_frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of them as they are."""
    folder = tmp_path_factory.mktemp("whole")
    for path in sorted(real_frames.glob("*.FITS"))[:A_FEW]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def bare(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pixels under headers that tell when they were taken, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    for path in frames.glob("*.FITS"):
        with fits.open(path) as hdus:
            made = fits.PrimaryHDU(hdus[0].data)
            made.header["UT-OBS"] = hdus[0].header["UT-OBS"]
            made.writeto(folder / path.name)
    return folder


def log_of(folder: Path) -> ObservingLog:
    names = sorted(path.name for path in folder.glob("*.FITS"))
    log = folder / "log.csv"
    log.write_text(f"first,last,name,exposure,ra,dec,filter\n{names[0]},{names[-1]},HATP-32,60,31.312,46.769,Clear\n")
    return read_log(log)


def read(folder: Path, patterns: tuple[str, ...] = (), log: ObservingLog | None = None) -> list[FrameFacts]:
    return read_folder(folder, reading=Reading(patterns=patterns), log=log).frames


def the_one(frames: list[FrameFacts]) -> ObservationKey:
    [key] = group(frames)
    return key


def test_headers_patterns_and_a_log_agree(frames: Path) -> None:
    by_header = read(frames)
    for others in (
        read(frames, (PATTERN,)),
        read(frames, log=log_of(frames)),
        read(frames, (PATTERN,), log_of(frames)),
    ):
        assert the_one(others) == the_one(by_header)
        for other, one in zip(others, by_header, strict=True):
            assert (other.start_utc, other.jd_utc, other.exposure) == (one.start_utc, one.jd_utc, one.exposure)
            assert other.notes == one.notes


def test_a_log_stands_for_headers_that_lack_all_but_the_time(frames: Path, bare: Path) -> None:
    by_header, by_log = read(frames), read(bare, log=log_of(bare))
    whole, named = the_one(by_header), the_one(by_log)
    for fact in ("kind", "target", "filter", "exposure", "binning", "night"):
        assert getattr(named, fact) == getattr(whole, fact), fact
    for one, other in zip(by_header, by_log, strict=True):
        assert (other.start_utc, other.jd_utc) == (one.start_utc, one.jd_utc)
        assert np.hypot((other.ra_deg or 0) - (one.ra_deg or 0), (other.dec_deg or 0) - (one.dec_deg or 0)) < 0.6
        assert other.notes == ()


def test_without_headers_and_log_it_is_said_what_lacks(bare: Path) -> None:
    said = "no exposure time in the header: taken as 0 s"
    assert all(said in frame.notes and frame.target == "HATP-32" for frame in read(bare, (PATTERN,)))
