"""The sky and its noise against known ones."""

import numpy as np
import pytest
import sep

from pipeline.errors import UnusableDataError
from pipeline.frame.background import FRAME_BIN, subtract_background
from tests.unit.pipeline.star_fields import make_field


@pytest.mark.parametrize("bin_size", [1, FRAME_BIN])
def test_level_and_noise_of_a_sloping_sky_with_stars(bin_size: int, rng: np.random.Generator) -> None:
    field = make_field(rng, (512, 512), stars=150, sky=400.0)
    y, x = np.mgrid[:512, :512]
    slope = 50 * x / 512 - 30 * y / 512
    image, sky = subtract_background((field.image + 1000 + slope).astype(np.float32), bin_size=bin_size)
    assert sky.rms == pytest.approx(20, rel=0.03)
    assert sky.level == pytest.approx(1000 + slope.mean(), abs=3)
    # Stars pull the boxes' mode up a little; the slope is gone.
    residue = np.median((image - field.image).reshape(8, 64, 8, 64), axis=(1, 3))
    assert np.abs(residue).max() < 4


@pytest.mark.parametrize("bin_size", [1, FRAME_BIN])
def test_masked_pixels_stay_masked_and_count_for_nothing(bin_size: int, rng: np.random.Generator) -> None:
    image = rng.normal(500, 10, (256, 256)).astype(np.float32)
    image[:, 100:160] = np.nan
    image[40:80, 20:60] = np.nan
    masked = np.isnan(image)
    result, sky = subtract_background(image, bin_size=bin_size)
    np.testing.assert_array_equal(np.isnan(result), masked)
    assert sky.level == pytest.approx(500, abs=0.5)
    assert sky.rms == pytest.approx(10, rel=0.03)
    assert abs(np.nanmean(result)) < 0.5


def test_other_types_are_copied_and_native_floats_are_not(rng: np.random.Generator) -> None:
    image = rng.normal(500, 10, (128, 128)).astype(np.float32)
    swapped = image.astype(">f4")
    kept = swapped.copy()
    result, _ = subtract_background(swapped)
    np.testing.assert_array_equal(swapped, kept)
    assert result.dtype.isnative
    assert subtract_background(image)[0] is image


def test_an_image_smaller_than_a_box_has_a_sky(rng: np.random.Generator) -> None:
    _, sky = subtract_background(rng.normal(100, 3, (40, 30)).astype(np.float32))
    assert sky.level == pytest.approx(100, abs=1)
    assert sky.rms == pytest.approx(3, rel=0.1)


def test_no_finite_pixel_is_refused() -> None:
    with pytest.raises(UnusableDataError, match="no finite pixel"):
        subtract_background(np.full((50, 50), np.nan, np.float32))


def test_stars_lift_the_sky_less_than_that_of_the_single_pixels(rng: np.random.Generator) -> None:
    field = make_field(rng, (1024, 1024), stars=3000, sky=400.0, fwhm=5.0)
    image = (field.image + 1000).astype(np.float32)
    full = sep.Background(image, bw=64, bh=64, fw=3, fh=3)
    _, sky = subtract_background(image, bin_size=FRAME_BIN)
    assert 0 < sky.level - 1000 < 0.8 * (full.globalback - 1000)
    assert sky.rms == pytest.approx(full.globalrms, rel=0.02)


@pytest.mark.parametrize("shape", [(3, 500), (130, 71), (1, 40)])
@pytest.mark.parametrize("bin_size", [1, FRAME_BIN])
def test_an_image_of_any_shape_loses_its_sky(shape: tuple[int, int], bin_size: int, rng: np.random.Generator) -> None:
    image, sky = subtract_background(rng.normal(100, 3, shape).astype(np.float32), bin_size=bin_size)
    assert sky.level == pytest.approx(100, abs=2)
    assert image.mean() == pytest.approx(0, abs=2)


@pytest.mark.parametrize("shape", [(128, 128), (100, 512), (512, 512)])
@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_a_bright_star_that_fills_a_corner_box_lifts_no_sky(
    shape: tuple[int, int], corner: tuple[int, int], rng: np.random.Generator
) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    middle = [32 if end == 0 else side - 33 for end, side in zip(corner, shape, strict=True)]
    halo = 3000 / (1 + ((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / 12**2) ** 2.5
    slope = (x - y) / 20 if min(shape) > 128 else 0.0 * x  # of few boxes none is told
    image, _ = subtract_background((rng.normal(1000, 10, shape) + halo + slope).astype(np.float32), bin_size=FRAME_BIN)
    sky = np.median((image - halo)[(np.abs(y - middle[0]) < 30) & (np.abs(x - middle[1]) < 30)])
    assert abs(sky) < 10
