"""Coordinates come into the headers of images that lie on the disk for long: in place, and again."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from services import image_store
from services.errors import DataError, LostFrameError, TransientError
from services.image_store import open_store

PATH = "template/4/1700000000000000001.fits"
HEADER = {"TIANYUPI": "1700000000000000001", "BUNIT": "adu"}
PIXELS = np.arange(200 * 300, dtype=np.float32).reshape(200, 300)
WEIGHT = np.full((200, 300), 3, np.int16)
TAN: dict[str, str | float | int] = {
    "WCSAXES": 2,
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRPIX1": 150.5,
    "CRPIX2": 100.5,
    "CRVAL1": 31.04276123456789,
    "CRVAL2": 46.6878,
    "CD1_1": -0.00143434666254574,
    "CD1_2": -2.92e-06,
    "CD2_1": 2.98e-06,
    "CD2_2": -0.00143416046527727,
}


def sip(degree: int) -> dict[str, str | float | int]:
    """A WCS with distortion of this degree and its inverse, as long as one can be."""
    terms = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    forward = [(i, j) for i, j in terms if i + j >= 2]
    more: dict[str, str | float | int] = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    more |= {"CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS", "LONPOLE": 180.0, "LATPOLE": 0.0}
    more |= {f"{name}_ORDER": degree for name in ("A", "B", "AP", "BP")}
    more |= {f"{name}_{i}_{j}": float(f"{i + 1}e-9") for name in ("A", "B") for i, j in forward}
    return TAN | more | {f"{name}_{i}_{j}": float(f"{i + 1}e-9") for name in ("AP", "BP") for i, j in terms}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    open_store(tmp_path).write(PATH, PIXELS, {"WEIGHT": WEIGHT}, HEADER)
    return tmp_path / PATH


def check_whole(file: Path) -> fits.Header:
    """All but the coordinates is as it was written; returns the header."""
    with fits.open(file, memmap=False) as hdus:
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus[0].data, PIXELS)
        np.testing.assert_array_equal(hdus["WEIGHT"].data, WEIGHT)
        header = hdus[0].header
    assert {key: header[key] for key in HEADER} == HEADER
    return header


@pytest.mark.parametrize("degree", [2, 4])
def test_coordinates_fit_into_the_room_that_is_kept(tmp_path: Path, file: Path, degree: int) -> None:
    before = file.stat()
    open_store(tmp_path).add_cards(PATH, sip(degree))
    assert (file.stat().st_size, file.stat().st_ino) == (before.st_size, before.st_ino), "written in place"
    header = check_whole(file)
    assert {key: header[key] for key in sip(degree)} == sip(degree)


def test_astropy_reads_the_coordinates(tmp_path: Path, file: Path) -> None:
    open_store(tmp_path).add_cards(PATH, TAN)
    ra, dec = WCS(check_whole(file)).all_pix2world(149.5, 99.5, 0)
    assert (float(ra), float(dec)) == pytest.approx((TAN["CRVAL1"], TAN["CRVAL2"]), abs=1e-12)


def test_a_second_call_replaces_the_first(tmp_path: Path, file: Path) -> None:
    store = open_store(tmp_path)
    store.add_cards(PATH, TAN)
    once = file.read_bytes()
    store.add_cards(PATH, sip(4))
    store.add_cards(PATH, TAN)
    assert file.read_bytes() == once
    assert "A_ORDER" not in check_whole(file)


def test_a_header_without_room_makes_a_new_file(tmp_path: Path) -> None:
    """As files of older versions are, which end their header behind its last card."""
    file = tmp_path / PATH
    file.parent.mkdir(parents=True)
    hdus = fits.HDUList([fits.PrimaryHDU(PIXELS), fits.ImageHDU(WEIGHT, name="WEIGHT")])
    hdus[0].header.update(HEADER)
    hdus.writeto(file)
    before = file.stat()
    store = open_store(tmp_path)
    store.add_cards(PATH, TAN)
    assert file.stat().st_size == before.st_size, "a plain WCS has room in any header"
    store.add_cards(PATH, sip(4))
    header = check_whole(file)
    assert {key: header[key] for key in sip(4)} == sip(4)
    assert file.stat().st_ino != before.st_ino
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(image_store.shutil, "copyfileobj", full)
    with pytest.raises(TransientError, match="is the disk full"):
        open_store(tmp_path).add_cards(PATH, sip(9))
    assert file.read_bytes() == before
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("content", [b"", b"no FITS at all", b"SIMPLE  =".ljust(2880) * 2, b"x" * 2880])
def test_what_is_no_fits_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.fits").write_bytes(content)
    with pytest.raises(DataError, match="no whole FITS header"):
        open_store(tmp_path).add_cards("a.fits", TAN)
    assert (tmp_path / "a.fits").read_bytes() == content


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "of another.fits").touch()
    with pytest.raises(LostFrameError, match=r"gone\.fits' is gone"):
        open_store(tmp_path).add_cards("gone.fits", TAN)
