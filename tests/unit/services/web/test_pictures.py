"""Tiles of images: each pixel where it belongs, masked ones gray, and a file read once."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from schema.image import TEMPLATE, Image
from services.errors import DataError
from services.image_store import LocalImageStore
from services.web.pictures import NO_PIXEL, TILE_PX, Pictures, picture_of


def shades(content: bytes | None) -> np.ndarray:
    assert content is not None
    return np.asarray(Pillow.open(BytesIO(content)))


def test_the_first_row_is_at_the_bottom_and_bright_is_dark() -> None:
    image = np.random.default_rng(1).normal(0, 1, (600, 1300)).astype(np.float32)
    image[0, 2] = 1000.0
    image[599, 1299] = np.nan
    picture = picture_of(image)
    assert picture.shape == (600, 1300)
    low = shades(picture.tile(0, 0, 1))
    assert low.shape == (600 - TILE_PX, TILE_PX)
    assert low[-1, 2] == 0
    high = shades(picture.tile(0, 2, 0))
    assert high.shape == (TILE_PX, 1300 - 2 * TILE_PX)
    assert high[0, -1] == NO_PIXEL


def test_each_level_is_half_as_large_and_keeps_the_bottom_left() -> None:
    image = np.zeros((1003, 1501), dtype=np.float32)
    image[:8, :8] = 50.0
    picture = picture_of(image)
    assert [level.shape for level in picture.levels] == [(1003, 1501), (501, 750), (250, 375)]
    smallest = picture.levels[-1]
    assert (smallest[-2:, :2] < smallest[0, 0]).all()
    assert (smallest[-3, :2] == smallest[0, 0]).all()


@pytest.mark.parametrize("place", [(9, 0, 0), (0, 99, 0), (0, 0, 99)])
def test_there_is_no_tile_outside(place: tuple[int, int, int]) -> None:
    assert picture_of(np.ones((20, 30), dtype=np.float32)).tile(*place) is None


def test_a_file_is_read_once(tmp_path: Path) -> None:
    store = LocalImageStore(tmp_path)
    store.write("template/1/5.fits", np.arange(600, dtype=np.float32).reshape(20, 30), {}, {})
    pictures, image = Pictures(store), Image(image_id=7, kind=TEMPLATE, pid=5, path="template/1/5.fits")
    first = pictures.of(image)
    (tmp_path / image.path).unlink()
    assert pictures.of(image) is first
    with pytest.raises(DataError):
        Pictures(store).of(image)
