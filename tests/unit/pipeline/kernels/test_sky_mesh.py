"""The sky in boxes: the kernel beside NumPy, and beside known skies."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from pipeline.kernels.sky_mesh import (
    box_levels,
    box_levels_reference,
    subtract_spline,
    subtract_spline_reference,
)


@pytest.mark.parametrize(("shape", "box"), [((96, 130), (32, 26)), ((13, 67), (5, 64)), ((1, 40), (1, 40))])
def test_levels_are_those_of_numpy(shape: tuple[int, int], box: tuple[int, int], rng: np.random.Generator) -> None:
    image = rng.normal(2000, 30, shape).astype(np.float32)
    image[rng.random(shape) < 0.05] += 400
    image[: shape[0] // 3, :30] = np.nan  # one box and more without a value
    image[-1, -1] = np.inf
    found, expected = box_levels(image, box), box_levels_reference(image, box)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-3)  # of a sky with a noise of 30


def test_levels_of_a_thousand_boxes_are_true(rng: np.random.Generator) -> None:
    image = rng.normal(1000, 10, (1024, 1024)).astype(np.float32)
    level = box_levels(image, (32, 32))
    assert level.mean() == pytest.approx(1000, abs=0.05)
    assert level.std() < 0.8  # a mode of 1024 pixels scatters more than their mean, by 0.31


def test_stars_lift_the_mode_less_than_the_median(rng: np.random.Generator) -> None:
    image = rng.normal(1000, 10, (320, 320)).astype(np.float32)
    image += np.where(rng.random(image.shape) < 0.1, rng.exponential(60, image.shape), 0).astype(np.float32)
    level = box_levels(image, (32, 32))
    assert 0 <= level.mean() - 1000 < 0.7 * (np.median(image) - 1000)


def test_a_box_of_one_value_has_it() -> None:
    assert box_levels(np.full((8, 8), 7, np.float32), (8, 8)).item() == 7


def test_a_box_counts_when_half_of_it_is_finite() -> None:
    image = np.full((4, 8), 5, np.float32)
    image[2:, :4] = image[1:, 4:] = np.nan
    np.testing.assert_array_equal(box_levels(image, (4, 4)), [[5, np.nan]])


@pytest.mark.parametrize("boxes", [(5, 4), (2, 3), (1, 4), (3, 1), (1, 1)])
def test_the_spline_is_that_of_numpy(boxes: tuple[int, int], rng: np.random.Generator) -> None:
    mesh = rng.normal(1000, 3, boxes)
    box = (13, 16)
    image = np.full((boxes[0] * 13 - 4, boxes[1] * 16 - 5), 1000, np.float32)  # the last boxes are narrower
    expected = image.copy()
    subtract_spline(image, mesh, box)
    subtract_spline_reference(expected, mesh, box)
    np.testing.assert_allclose(image, expected, atol=1e-3)  # of float32 at 1000


def test_the_spline_is_that_of_scipy(rng: np.random.Generator) -> None:
    knots = rng.normal(0, 1, (9, 1))
    image = np.zeros((72, 1), np.float32)
    subtract_spline(image, knots, (8, 1))
    expected = CubicSpline(np.arange(9), knots, bc_type="natural")((np.arange(72) + 0.5) / 8 - 0.5)
    np.testing.assert_allclose(-image, expected, atol=1e-5)


def test_a_slope_is_taken_off_to_the_border() -> None:
    y, x = np.indices((60, 90))
    image = (2 * y - 3 * x + 10).astype(np.float32)
    mesh = image.reshape(6, 10, 9, 10).mean(axis=(1, 3))
    subtract_spline(image, mesh.astype(np.float64), (10, 10))
    np.testing.assert_allclose(image, 0, atol=1e-3)
