"""Frames of a real camera, told by their headers, a log, their names or their pointing: the same light curves."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from services.header_reading import Reading
from services.ingest.observing_log import read_log
from services.ingest.raw_folder import Folder, read_folder
from tests.acceptance.own_process import reduce

FRAMES, FIRST, STEP = 6, 40, 4  # so many of the night, each fourth one
CUT = (slice(160, 400), slice(260, 560))
TOLD = ("OBJECT", "FILTER", "IMAGETYP")
PATTERN = r"(?P<obj>[^_]*)_(?P<band>[a-zA-Z]+)_(?P<sn>[0-9]{3})\.fits"
LOG = "1,6,HATP-32,60,,,Clear\n"
POINTS = """
SELECT jd_utc, bjd_tdb, source_id, aperture, flux_raw, flux_raw_error, flux_relative, flux_relative_error, flag
FROM light_curve WHERE usable ORDER BY jd_utc, source_id, aperture
"""


def write(real_frames: Path, folder: Path, name: str, without: tuple[str, ...]) -> Path:
    """Parts of some frames, as the camera wrote them but for some of their cards."""
    folder.mkdir()
    for number, file in enumerate(sorted(real_frames.glob("*.FITS"))[FIRST : FIRST + FRAMES * STEP : STEP], 1):
        with fits.open(file) as opened:
            header = opened[0].header.copy()
            for key in without:
                header.remove(key, ignore_missing=True)
            part = fits.PrimaryHDU(opened[0].data[CUT], header)
        part.writeto(folder / f"{name}_{number:03d}.fits", output_verify="silentfix")
    return folder


def curves(folder: Folder, work: Path) -> tuple[tuple[str, str], NDArray[np.float64]]:
    """Target and filter; the points of all stars."""
    reduce(folder, work)
    with closing(sqlite3.connect(work / "tianyu.db")) as connection:
        [(target, band)] = connection.execute(
            "SELECT DISTINCT target, filter FROM frame WHERE kind = 'light'"
        ).fetchall()
        return (target, band), np.array(connection.execute(POINTS).fetchall(), dtype=np.float64)


@pytest.fixture(scope="module")
def by_headers(real_frames: Path, tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float64]:
    folder = tmp_path_factory.mktemp("headers")
    named, points = curves(read_folder(write(real_frames, folder / "raw", "image", ())), folder / "work")
    assert named == ("HATP-32", "Clear")
    assert len(np.unique(points[:, 0])) == FRAMES
    assert len(np.unique(points[:, 2])) > 50
    return points


@pytest.mark.parametrize("way", ["log", "pattern", "pointing"])
def test_the_light_curves_are_the_same(
    way: str, by_headers: NDArray[np.float64], real_frames: Path, tmp_path: Path
) -> None:
    name = "HATP-32_Clear" if way == "pattern" else "image"
    bare = write(real_frames, tmp_path / "raw", name, TOLD)
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    folder = read_folder(
        bare,
        reading=Reading(patterns=(PATTERN,) if way == "pattern" else ()),
        log=read_log(log) if way == "log" else None,
    )
    named, points = curves(folder, tmp_path / "work")
    if way != "pointing":
        assert named == ("HATP-32", "Clear")
    np.testing.assert_array_equal(points, by_headers)
