"""Copies of frames with signals: the file's own type and header, in a folder that was empty, on a disk with room."""

import csv
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from pipeline.registration.alignment import Alignment
from pipeline.trials.injection import Choice, Signal
from services.choices import Choices
from services.errors import ConfigurationError, DataError, TransientError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.star_statistics import Stars
from services.trials.injection import Plan, ProcessedNight, claim_folder, require_space, write_frames
from services.trials.injection.plan import write_truth
from services.trials.injection.processed_night import RawFrame

SHAPE = (80, 90)
STAR = (40.2, 35.8)
FULL = 60000.0  # ADU
FLUX = 20000.0  # ADU


def pixels() -> NDArray[np.float64]:
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    star = FLUX / (2 * np.pi * 1.5**2) * np.exp(-0.5 * ((xx - STAR[0]) ** 2 + (yy - STAR[1]) ** 2) / 1.5**2)
    image = np.random.default_rng(2).normal(40000.0, 5.0, SHAPE) + star
    image[36, 43] = FULL
    return np.asarray(np.rint(image))


def night_of(path: Path, kind: str = "light") -> ProcessedNight:
    aligned = RawFrame(
        path=path,
        kind=kind,
        copy=f"{kind}/{path.stem}.fits",
        size_bytes=path.stat().st_size if path.exists() else 0,
        shape=SHAPE,
        jd_utc=2460000.5,
        saturation=FULL,
        fwhm=3.5,
        alignment=Alignment.identity(SHAPE),
        good=True,
    )
    facts = ObservationFacts(1, "T", "R", "C", date(2024, 1, 1), 1, 1, 1, 1, "local")
    none = np.empty(0)
    stars = Stars(none.astype(np.int64), none, none, none, *2 * [none.astype(np.int64)])
    return ProcessedNight(facts, (aligned,), stars, np.empty((0, 2)), np.empty((0, 2)))


def plan() -> Plan:
    one = np.array([0])
    return Plan(
        source_id=one + 1,
        xy=np.array([STAR]),
        on_first=np.array([[STAR[0] - 120, STAR[1] + 7]]),
        magnitude=np.array([12.0]),
        signals=(Signal("transit", 0.5, 2460000.5, 0.1, np.nan),),
        choice=Choice(one, np.array([0.5]), np.array([11.0, 13.0]), one),
        amplitude_before=np.zeros(1),
        variable_before=frozenset(),
    )


def write(path: Path, form: str) -> NDArray[Any]:
    """One of the forms in which cameras write."""
    data: NDArray[Any] = pixels()
    hdu: Any
    match form:
        case "16 bits with a zero":
            hdu = fits.PrimaryHDU(data.astype(np.uint16))
        case "32 bits scaled":
            hdu = fits.PrimaryHDU(data.astype(np.int32))
            hdu.scale("int32", bscale=0.25, bzero=100.0)
        case "floating point":
            hdu = fits.PrimaryHDU(data.astype(np.float32))
        case "in an extension":
            hdu = fits.ImageHDU(data.astype(np.uint16))
        case _:
            hdu = fits.CompImageHDU(data.astype(np.uint16))
    hdu.header["OBJECT"] = "T 1"
    hdu.header["HISTORY"] = "of the camera"
    hdus = [hdu] if isinstance(hdu, fits.PrimaryHDU) else [fits.PrimaryHDU(), hdu]
    hdus[0].header["TELESCOP"] = "far away"
    fits.HDUList(hdus).writeto(path, checksum=True)
    return np.asarray(fits.getdata(path))


@pytest.mark.parametrize(
    "form", ["16 bits with a zero", "32 bits scaled", "floating point", "in an extension", "compressed"]
)
def test_frames_keep_type_scale_and_header(tmp_path: Path, form: str) -> None:
    raw = tmp_path / ("raw.fits.fz" if form == "compressed" else "raw.fits")
    before = write(raw, form)
    folder = write_frames(night_of(raw), plan(), Choices(), tmp_path / "out", seed=1)
    [copy] = (path for path in folder.rglob("*") if path.is_file())
    after, header = fits.getdata(copy, header=True)
    assert after.dtype == before.dtype
    assert (header["OBJECT"], header["TELESCOP"]) == ("T 1", "far away")
    assert "of the camera" in str(header["HISTORY"])
    assert "DATASUM" not in header
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    near = np.hypot(xx - STAR[0], yy - STAR[1]) <= 4 * 3.5
    np.testing.assert_array_equal(after[~near], before[~near])
    assert after[36, 43] == FULL  # saturated: nobody knows how much light there was
    change = np.where(near, after.astype(float) - before.astype(float), 0.0)
    # Without the full pixel's share of the star; sky noise of 5 ADU in 600 pixels and its mean's make 80 ADU.
    yy, xx = 36 - STAR[1], 43 - STAR[0]
    lost = FLUX / (2 * np.pi * 1.5**2) * np.exp(-0.5 * (xx**2 + yy**2) / 1.5**2)
    assert change.sum() == pytest.approx(-0.5 * (FLUX - lost), abs=250)


def test_calibration_frames_are_linked_and_a_lost_frame_is_named(tmp_path: Path) -> None:
    raw = tmp_path / "bias.fits"
    write(raw, "floating point")
    night = night_of(raw, "bias")
    unaligned = replace(night, frames=(RawFrame(raw, "bias", "bias/bias.fits", 1, SHAPE),))
    folder = write_frames(unaligned, plan(), Choices(), tmp_path / "out", seed=1)
    link = folder / "bias" / "bias.fits"
    assert link.is_symlink()
    assert link.read_bytes() == raw.read_bytes()
    with pytest.raises(DataError, match=r"gone\.fits.* cannot be read.*where they were registered"):
        write_frames(night_of(tmp_path / "gone.fits"), plan(), Choices(), tmp_path / "other", seed=1)


def test_people_read_the_pixels_of_the_first_frame(tmp_path: Path) -> None:
    with write_truth(plan(), tmp_path).open() as file:
        [row] = csv.DictReader(file)
    assert (float(row["x"]), float(row["y"])) == (round(STAR[0] - 120, 3), round(STAR[1] + 7, 3))


def test_only_a_new_or_empty_folder_is_used(tmp_path: Path) -> None:
    assert claim_folder(tmp_path / "new" / "folder").is_dir()
    assert claim_folder(tmp_path / "new" / "folder").is_dir()  # still empty
    (tmp_path / "new" / "mine.txt").touch()
    with pytest.raises(ConfigurationError, match="is not empty"):
        claim_folder(tmp_path / "new")
    with pytest.raises(ConfigurationError, match="is not a folder"):
        claim_folder(tmp_path / "new" / "mine.txt")


def test_a_disk_without_room_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw.fits"
    write(raw, "16 bits with a zero")
    require_space(night_of(raw), tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000))
    with pytest.raises(TransientError, match="1 frames with signals"):
        require_space(night_of(raw), tmp_path)
