"""Shapes of drawn stars, trails and hot pixels."""

import numpy as np
import pytest

from pipeline.frame.shapes import measure_shapes
from tests.unit.pipeline.star_fields import make_field, noiseless

GRID = np.array([(x, y) for x in range(30, 270, 30) for y in range(30, 270, 30)], np.float64)


@pytest.mark.parametrize("fwhm", [1.6, 2.5, 4.0])
@pytest.mark.parametrize("window", [0.8, 1.0, 1.4])
def test_round_stars(rng: np.random.Generator, fwhm: float, window: float) -> None:
    xy = GRID + rng.uniform(-0.5, 0.5, GRID.shape)
    image = noiseless((300, 300), xy, np.full(len(xy), 1e4), fwhm).astype(np.float32)
    width = np.hypot(fwhm, 2.3548 * np.sqrt(1 / 12))
    shapes = measure_shapes(image, xy[:, 0], xy[:, 1], width * window, np.zeros(image.shape, np.bool_))
    assert np.median(shapes.fwhm) == pytest.approx(width, rel=0.06)
    assert np.median(shapes.ellipticity) < 0.05


def test_elongated_stars() -> None:
    image = noiseless((300, 300), GRID, np.full(len(GRID), 1e4), 3.0, 1.5).astype(np.float32)
    shapes = measure_shapes(image, GRID[:, 0], GRID[:, 1], 3.7, np.zeros(image.shape, np.bool_))
    np.testing.assert_allclose(shapes.ellipticity, 1 - 1 / 1.5, atol=0.03)


def test_faint_stars_have_no_bias(rng: np.random.Generator) -> None:
    field = make_field(rng, (300, 300), xy=GRID, flux=np.full(len(GRID), 900.0), fwhm=2.5)
    shapes = measure_shapes(field.image, GRID[:, 0], GRID[:, 1], 2.6, np.zeros(field.image.shape, np.bool_))
    assert np.median(shapes.fwhm) == pytest.approx(2.59, rel=0.06)


def test_pixels_and_lines_are_narrow() -> None:
    image = np.zeros((60, 60), np.float32)
    image[20, 20] = 100
    image[40, :] = 100
    pixel = measure_shapes(image, np.array([20.0]), np.array([20.0]), 3.0, np.zeros(image.shape, np.bool_))
    line = measure_shapes(image, np.array([30.0]), np.array([40.0]), 3.0, np.zeros(image.shape, np.bool_))
    star_variance = pixel.weight / 2
    assert pixel.minor[0] < 0.05 * star_variance
    assert line.minor[0] < 0.05 * star_variance
    assert line.ellipticity[0] > 0.8


def test_no_light_and_masked_pixels() -> None:
    image = np.full((20, 20), -1, np.float32)
    shapes = measure_shapes(image, np.array([0.0, 10.0]), np.array([19.0, 10.0]), 3.0, np.zeros((20, 20), np.bool_))
    assert np.isnan(shapes.minor).all()
    image[:] = 1
    image[:, 15:] = np.nan
    masked = measure_shapes(image, np.array([10.0]), np.array([10.0]), 3.0, np.isnan(image))
    assert np.isfinite(masked.minor).all()
    assert measure_shapes(image, np.empty(0), np.empty(0), 3.0, np.isnan(image)).minor.size == 0
