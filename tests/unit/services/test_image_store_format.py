"""Files of the image store are what `astropy.io.fits` itself would write, to the byte."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from pipeline.rows import ReadRows
from services import fits_writer, image_store
from services.errors import DataError
from services.fits_writer import ROOM_CARDS
from services.image_store import open_store

PATH = "calibrated/4/1700000000000000001.fits"
HEADER = {"TIANYUPI": "1700000000000000001", "BUNIT": "adu/s"}
ROWS = np.array([(1.5, 2, 3), (-0.25, -7, 255)], [("x", "f8"), ("n", "i4"), ("bits", "u1")])
CARDS = -(-(8 + ROOM_CARDS + 1) // 36) * 36 - 1  # beside END; 6 of the image, 2 of ours
WEIGHT = np.arange(35, dtype=np.int16).reshape(5, 7)


def image(dtype: str) -> NDArray[Any]:
    return np.random.default_rng(1).normal(100.0, 20.0, (50, 33)).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "i4", "i2", "u1"])
@pytest.mark.parametrize(
    "extras",
    [{}, {"STARS": ROWS}, {"STARS": ROWS[:0], "WEIGHT": WEIGHT}, {"WEIGHT": WEIGHT.astype(">i4"), "PIXELS": ROWS[::2]}],
)
def test_the_file_is_astropys_to_the_byte(tmp_path: Path, dtype: str, extras: dict[str, NDArray[Any]]) -> None:
    expected = tmp_path / "expected.fits"
    hdus = fits.HDUList(fits.PrimaryHDU(image(dtype)))
    hdus[0].header.update(HEADER)
    while len(hdus[0].header) < CARDS:  # the room for coordinates
        hdus[0].header.append()
    for name, data in extras.items():
        hdus.append((fits.BinTableHDU if data.dtype.names else fits.ImageHDU)(data.copy(), name=name))
    hdus.writeto(expected)
    size = open_store(tmp_path).write(PATH, image(dtype), extras, HEADER)
    assert (tmp_path / PATH).read_bytes() == expected.read_bytes()
    assert size == expected.stat().st_size


def test_a_file_has_nothing_of_the_one_before(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write(PATH, image("f4"), {"STARS": ROWS}, HEADER)
    first = (tmp_path / PATH).read_bytes()
    store.write(PATH, image("f4")[:7], {"STARS": ROWS[:1]}, {})
    assert not HEADER.keys() & fits.getheader(tmp_path / PATH).keys()
    store.write(PATH, image("f4"), {"STARS": ROWS}, HEADER)
    assert (tmp_path / PATH).read_bytes() == first


def test_a_large_image_is_written_and_read_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, pixels = open_store(tmp_path), image("f4")
    store.write(PATH, pixels, {}, HEADER)
    whole = (tmp_path / PATH).read_bytes()
    assert store.master_rows(PATH) is store.read_master(PATH)
    monkeypatch.setattr(fits_writer, "WRITTEN_AT_ONCE", 3 * pixels[0].nbytes + 1)
    monkeypatch.setattr(image_store, "MASTERS_KEPT_BYTES", pixels.nbytes - 1)
    store = open_store(tmp_path)
    store.write(PATH, pixels, {}, HEADER)
    assert (tmp_path / PATH).read_bytes() == whole
    rows = store.master_rows(PATH)
    assert isinstance(rows, ReadRows)
    assert rows.shape == pixels.shape
    for some in (slice(0, 7), slice(48, 64), slice(None), slice(60, 70)):
        np.testing.assert_array_equal(rows[some], pixels[some])
        assert rows[some].dtype == rows.dtype == np.float32


def test_a_large_master_that_was_cut_is_refused_whenever_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_store, "MASTERS_KEPT_BYTES", 0)
    store, file = open_store(tmp_path), tmp_path / PATH
    store.write(PATH, image("f4"), {}, HEADER)
    rows, whole = store.master_rows(PATH), file.read_bytes()
    file.write_bytes(whole[: -len(whole) // 3])
    with pytest.raises(DataError, match=r"is it whole\?"):
        store.master_rows(PATH)
    with pytest.raises(DataError, match=r"is it whole\?"):
        rows[40:50]
    file.unlink()
    with pytest.raises(DataError, match="is it there and whole"):
        rows[:1]


def test_a_view_of_every_other_pixel_is_written_as_it_looks(tmp_path: Path) -> None:
    part = image("f4")[::2, ::-3]
    open_store(tmp_path).write(PATH, part, {"STARS": ROWS}, {})
    stored = open_store(tmp_path).read_all(PATH, ("STARS",))
    np.testing.assert_array_equal(stored.image, part)
    np.testing.assert_array_equal(stored.extras["STARS"], ROWS)


@pytest.mark.parametrize("data", [np.zeros((3, 3), np.uint16), np.zeros(3, bool), np.zeros(3, [("n", "u4")])])
def test_numbers_that_need_a_scale_are_refused_and_leave_no_file(tmp_path: Path, data: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match="FITS has no numbers of type"):
        open_store(tmp_path).write(PATH, image("f4"), {"EXTRA": data}, {})
    assert not list(tmp_path.rglob("*.fits*"))
