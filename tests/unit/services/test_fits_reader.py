"""What the image store wrote is read as astropy reads it; what is none of its own is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from services.errors import DataError
from services.image_store import open_store

PATH = "calibrated/4/1700000000000000001.fits"
STARS = np.array([(1.5, 2, 3, -4), (-0.25, -7, 255, 2**40)], [("x", "f8"), ("n", "i4"), ("bits", "u1"), ("id", "i8")])
WEIGHT = np.arange(35, dtype=np.int16).reshape(5, 7)
EXTRAS = {"STARS": STARS, "WEIGHT": WEIGHT, "NONE": STARS[:0]}


def image(dtype: str = "f4") -> NDArray[Any]:
    return np.random.default_rng(1).normal(100.0, 20.0, (50, 33)).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i2", "u1"])
def test_arrays_are_those_that_astropy_reads(tmp_path: Path, dtype: str) -> None:
    store = open_store(tmp_path)
    store.write(PATH, image(dtype), EXTRAS, {"BUNIT": "adu"}, "HISTORY END".ljust(80))
    stored = store.read_all(PATH, ("WEIGHT", "STARS", "NONE"))
    with fits.open(tmp_path / PATH) as hdus:
        for ours, theirs in (
            (stored.image, hdus[0].data),
            *((stored.extras[name], hdus[name].data) for name in EXTRAS),
        ):
            assert ours.dtype.isnative
            assert ours.dtype == np.asarray(theirs).dtype.newbyteorder("=")
            np.testing.assert_array_equal(ours, np.asarray(theirs))
    np.testing.assert_array_equal(store.read_extra(PATH, "STARS"), STARS)
    np.testing.assert_array_equal(store.read(PATH, rows=slice(7, 90)), image(dtype)[7:])
    some = np.array([0, 33, 32, 1649], np.int32)
    np.testing.assert_array_equal(store.read_pixels(PATH, some), image(dtype).ravel()[some])
    assert store.read_pixels(PATH, some[:0]).dtype == image(dtype).dtype
    with pytest.raises(DataError, match="1650 pixels, and is asked for number 1650"):
        store.read_pixels(PATH, np.array([3, 1650]))


@pytest.mark.parametrize("kept", [0, 2000, 2880, 12_000, -2880])
def test_a_file_that_was_cut_off_is_named(tmp_path: Path, kept: int) -> None:
    store = open_store(tmp_path)
    store.write(PATH, image(), {"STARS": STARS}, {})
    content = (tmp_path / PATH).read_bytes()
    (tmp_path / PATH).write_bytes(content[:kept])
    with pytest.raises(DataError, match=r"1700000000000000001.*whole\?"):
        store.read_all(PATH, ("STARS",))


@pytest.mark.parametrize(
    "hdu",
    [
        fits.PrimaryHDU(np.zeros((4, 4), np.uint16)),  # stored as signed numbers and a zero
        fits.PrimaryHDU(np.zeros((4, 4), np.float32), fits.Header([("NAXIS1", 4)])),
    ],
)
def test_an_image_of_another_program_is_never_misread(tmp_path: Path, hdu: fits.PrimaryHDU) -> None:
    (tmp_path / PATH).parent.mkdir(parents=True)
    fits.HDUList(
        [hdu, fits.BinTableHDU.from_columns([fits.Column("x", "2E", array=np.zeros((3, 2)))], name="STARS")]
    ).writeto(tmp_path / PATH)
    with pytest.raises(DataError, match="not the FITS file that was expected"):
        open_store(tmp_path).read_all(PATH, ("STARS",))
