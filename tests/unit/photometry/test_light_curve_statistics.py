import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.statistics import FEWEST_POINTS, expected_scatter, light_curve_statistics, mean_of_values, row_median


def test_medians_of_rows_with_gaps() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 51))
    values[rng.random(values.shape) < 0.3] = np.nan
    np.testing.assert_allclose(row_median(values), np.nanmedian(values, axis=1))
    assert np.isnan(row_median(np.full((1, 4), np.nan))).all()
    assert np.isnan(row_median(np.empty((2, 0)))).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_mean_is_that_of_numpy_to_the_last_bit(dtype: type, gaps: bool) -> None:
    values = np.random.default_rng(0).normal(20000, 300, (300, 517)).astype(dtype)
    if gaps and dtype is not np.uint16:
        values[3:5] = np.nan
    assert mean_of_values(values) == float(np.nanmean(values))


def test_white_noise() -> None:
    rng = np.random.default_rng(1)
    error = np.full((500, 400), 0.02)
    flux = 1.0 + error * rng.normal(size=error.shape)
    found = light_curve_statistics(flux, error, np.ones(400, dtype=bool))
    np.testing.assert_array_equal(found.n, 400)
    for scatter in (found.scatter, found.standard_deviation, found.point_to_point, found.median_error):
        assert np.mean(scatter) == pytest.approx(0.02, rel=0.01)
    assert np.mean(found.chi2_reduced) == pytest.approx(1.0, abs=0.01)
    assert np.mean(found.von_neumann) == pytest.approx(2.0, abs=0.02)
    assert np.mean(found.median) == pytest.approx(1.0, abs=1e-4)


def test_a_smooth_variable_an_outlier_and_gaps() -> None:
    rng = np.random.default_rng(2)
    error = np.full((2, 300), 0.01)
    flux = 1.0 + error * rng.normal(size=error.shape)
    flux[0] += 0.2 * np.sin(np.arange(300) / 30)
    flux[1, 100] = 9.0
    flux[:, 200:210] = np.nan
    found = light_curve_statistics(flux, error, np.ones(300, dtype=bool))
    np.testing.assert_array_equal(found.n, 290)
    assert found.von_neumann[0] < 0.05
    assert found.point_to_point[0] == pytest.approx(0.01, rel=0.2)
    assert found.chi2_reduced[0] == pytest.approx((0.2**2 / 2 + 0.01**2) / 0.01**2, rel=0.15)
    assert found.scatter[1] == pytest.approx(0.01, rel=0.15)
    assert found.standard_deviation[1] > 0.3


def test_bad_epochs_and_empty_rows() -> None:
    flux = np.array([[1.0, 2.0, 50.0, 3.0, 4.0, 5.0], [np.nan] * 6, [np.nan, 5.0, 1.0, 4.0, 3.0, 2.0]])
    found = light_curve_statistics(flux, np.ones_like(flux), np.array([True, True, False, True, True, True]))
    np.testing.assert_array_equal(found.n, [5, 0, 4])
    np.testing.assert_array_equal(found.median, [3.0, np.nan, 3.5])
    np.testing.assert_array_equal(found.chi2_reduced, [2.5, np.nan, np.nan])


@pytest.mark.parametrize("points", [3, 4, 5, 6, 7, 10, 20, 60])
def test_scatter_of_few_points_is_neither_small_nor_told_of_too_few(points: int) -> None:
    """Half of the constant stars lie above the truth, as the median that a summary gives says."""
    flux = np.random.default_rng(5).normal(1.0, 0.02, (6000, points))
    found = light_curve_statistics(flux, np.full_like(flux, 0.02), np.ones(points, dtype=bool))
    for scatter in (found.scatter, found.standard_deviation, found.point_to_point):
        if points < FEWEST_POINTS:
            assert np.isnan(scatter).all()
        else:
            assert np.median(scatter) == pytest.approx(0.02, rel=0.025)
    np.testing.assert_allclose(found.median_error, 0.02)


def test_shapes_must_fit() -> None:
    with pytest.raises(UnusableDataError, match="expected"):
        light_curve_statistics(np.ones((2, 3)), np.ones((2, 3)), np.ones(4, dtype=bool))


def test_expected_scatter_of_bright_and_faint_stars() -> None:
    flux = np.array([1e8, 1e2])
    curve = expected_scatter(flux, 25.0, 100.0, gain=2.0)
    np.testing.assert_allclose(curve, np.sqrt(flux / 2.0 + 2500.0) / flux)
    with_air = expected_scatter(flux, 25.0, 100.0, gain=2.0, scintillation=0.001)
    assert with_air[0] == pytest.approx(0.001, rel=0.01)
