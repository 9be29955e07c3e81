"""Headers of frames that are read without astropy say what they say to it, and only where the file has nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from services.errors import DataError
from services.fits_cards import header_text
from services.fits_reader import primary_image
from services.frame_bounds import FrameBounds
from services.image_store import open_store
from services.ingest import frame_file
from services.ingest.cards import FrameHeader, raw
from services.ingest.frame_file import require_written

PIXELS = np.arange(1, 6 * 8 + 1, dtype=np.uint16).reshape(6, 8)


def plain(path: Path) -> None:
    hdu = fits.PrimaryHDU(PIXELS)  # stored with BZERO
    hdu.header["OBJECT"] = "M 67 / NGC 2682"
    hdu.header["HIERARCH ESO DET OUT1 GAIN"] = 0.49
    hdu.writeto(path)


def table_behind(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(PIXELS), fits.BinTableHDU(np.array([(1.0,)], dtype=[("a", "f8")]))]).writeto(path)


def image_in_extension(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(PIXELS)]).writeto(path)


def in_tiles(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(PIXELS)]).writeto(path)


@pytest.mark.parametrize("write", [plain, table_behind, image_in_extension, in_tiles])
def test_a_header_is_what_astropy_reads(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "frame.fits"
    write(path)
    with fits.open(path) as hdus:
        expected = header_text(hdus, next(hdu for hdu in hdus if hdu.is_image and hdu.header["NAXIS"] >= 2))
    assert open_store(tmp_path).read_header(str(path)) == expected
    found = primary_image(path, FrameBounds().header_bytes)
    assert (found is not None) == (write in (plain, table_behind))
    if found is not None:
        with fits.open(path) as hdus:
            assert (found.start, found.end) == (hdus[0].fileinfo()["datLoc"], hdus[0].fileinfo()["datLoc"] + 96)


def test_what_is_no_plain_image_is_left_to_astropy(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    plain(path)
    whole = path.read_bytes()
    assert primary_image(path, most_bytes=0) is None
    for old, new in ((b"NAXIS1  =", b"NAXIS7  ="), (b"SIMPLE  =", b"SIMPLE? ="), (b"BZERO   =", b"PCOUNT  =")):
        path.write_bytes(whole.replace(old, new))
        assert primary_image(path, FrameBounds().header_bytes) is None, new


def stored_as(path: Path, pixels: NDArray[Any], **cards: object) -> None:
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(cards)
    hdu.writeto(path)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_the_pixels_of_a_plain_file_are_what_astropy_reads(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "frame.fits"
    kind = np.dtype(dtype)
    edges = (-1.5, 3e30) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    pixels = np.array([[*edges, 2], [3, 4, 5]], kind)
    stored_as(path, pixels)
    store = open_store(tmp_path)
    for rows in (None, slice(1, 2), slice(-1, None)):
        read = store.read(str(path), rows=rows)
        expected = pixels if rows is None else pixels[rows]
        assert read.dtype.newbyteorder("=") == kind
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("cards", [{"BSCALE": 2.0}, {"BZERO": 100}, {"BLANK": 4}, {"NAXIS3": 1}])
def test_pixels_that_stand_for_others_are_as_astropy_reads_them(tmp_path: Path, cards: dict[str, Any]) -> None:
    path = tmp_path / "frame.fits"
    pixels = np.arange(6, dtype=np.int16).reshape(2, 3)
    if "NAXIS3" in cards:
        stored_as(path, pixels[None])
    else:
        stored_as(path, pixels)
        with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
            hdus[0].header.update(cards)
    with fits.open(path) as hdus:
        expected = np.squeeze(hdus[0].data)
    np.testing.assert_array_equal(open_store(tmp_path).read(str(path)), expected)


@pytest.mark.parametrize("write", [plain, table_behind, image_in_extension, in_tiles])
def test_a_frame_is_opened_as_astropy_opens_it(
    tmp_path: Path, write: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "frame.fits"
    write(path)
    opened = frame_file.open_frame(path)
    monkeypatch.setattr(frame_file, "primary_image", lambda *_: None)
    by_astropy = frame_file.open_frame(path)
    assert (opened.header_text, repr(opened.header)) == (by_astropy.header_text, repr(by_astropy.header))
    assert replace(opened, header=by_astropy.header) == by_astropy


@pytest.mark.parametrize("write", [plain, table_behind, image_in_extension])
def test_a_frame_is_written_when_its_last_pixels_are(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "frame.fits"
    write(path)
    require_written(path)
    whole = path.read_bytes()
    blocks = len(whole) // 2880
    path.write_bytes(whole[: 2880 * (blocks - 1)] + bytes(2880))
    with pytest.raises(DataError, match="ends in zeros"):
        require_written(path)
    path.write_bytes(whole[:-1000])
    with pytest.raises(DataError, match=r"not whole|truncated"):
        require_written(path)


def test_keywords_of_any_length_are_found_as_astropy_finds_them() -> None:
    header = fits.Header()
    header["GAIN"] = 2.0
    header["HIERARCH ESO DET OUT1 GAIN"] = 0.49
    header["HIERARCH TRIMSEC12"] = "[1:8,1:6]"
    header["HIERARCH lower_case"] = 5
    frame = FrameHeader(header.cards)  # type: ignore[no-untyped-call]
    keys = ("GAIN", "ESO DET OUT1 GAIN", "TRIMSEC12", "LOWER_CASE", "TRIMSEC13", "OFFSET")
    assert [raw(frame, key) for key in keys] == [header.get(key) for key in keys]
    assert [raw(frame, key) for key in keys] == [2.0, 0.49, "[1:8,1:6]", 5, None, None]
