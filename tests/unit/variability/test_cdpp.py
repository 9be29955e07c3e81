import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.variability.cdpp import cdpp, predicted_cdpp

NOISE = 0.004
# lightkurve 2.6, `estimate_cdpp(transit_duration=27, savgol_window=55)`, of the light curves of `test_as_lightkurve`.
LIGHTKURVE_PPM = (361.8, 315.8, 367.6, 322.8, 358.7)


def uneven_night(stars: int = 60, points: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    time = 2459000 + np.sort(rng.uniform(0, 0.3, points))
    error = np.full((stars, points), NOISE)
    return time, 1 + error * rng.normal(size=error.shape), error


def test_white_noise_gives_what_the_errors_predict() -> None:
    time, flux, error = uneven_night()
    # A standard deviation of some ten independent half hours is low by a few percent.
    assert np.mean(cdpp(time, flux)) == pytest.approx(np.mean(predicted_cdpp(time, flux, error)), rel=0.06)


def test_the_prediction_averages_like_white_noise() -> None:
    """Without detrending a mean of n points has the error over sqrt(n); the filter takes some of it away."""
    time = np.linspace(0, 0.3, 401)
    error = np.full((1, 401), NOISE)
    points_in_half_hour = 0.5 / 24 / (0.3 / 400)
    undetrended = predicted_cdpp(time, np.ones((1, 401)), error, detrend_hours=100.0)
    assert undetrended[0] == pytest.approx(1e6 * NOISE / np.sqrt(points_in_half_hour), rel=0.1)
    assert predicted_cdpp(time, np.ones((1, 401)), error)[0] < 0.8 * undetrended[0]
    np.testing.assert_allclose(
        predicted_cdpp(time, np.full((1, 401), 50.0), 50 * error)[0], 1e6 * NOISE * 0.0666, rtol=0.1
    )


def test_as_lightkurve() -> None:
    rng = np.random.default_rng(1)
    rng.uniform(0, 0.3, 400)
    flux = 1 + NOISE * rng.normal(size=(50, 400))
    found = cdpp(np.arange(400) * 0.3 / 400, flux[:5])
    # lightkurve fills its window at the ends with a fitted parabola, we with the points that are there.
    np.testing.assert_allclose(found, LIGHTKURVE_PPM, rtol=0.12)


def test_trends_and_outliers_do_not_count() -> None:
    time, flux, _ = uneven_night()
    quiet = cdpp(time, flux)
    x = (time - time[0]) / 0.3
    trended = cdpp(time, flux * (1 + 0.1 * x - 0.2 * x**2))
    np.testing.assert_allclose(trended, quiet, rtol=0.03)
    flux[:, 77] = 9.0
    np.testing.assert_allclose(cdpp(time, flux), quiet, rtol=0.25)


def test_half_hour_noise_counts() -> None:
    time, flux, _ = uneven_night()
    wave = 0.003 * np.sin(2 * np.pi * (time - time[0]) * 24 / 0.6)  # a period of 36 minutes
    assert np.mean(cdpp(time, flux + wave)) > 1.5 * np.mean(cdpp(time, flux))


def test_gaps_and_missing_points() -> None:
    time, flux, error = uneven_night()
    quiet = np.mean(cdpp(time, flux))
    rng = np.random.default_rng(2)
    holes = np.where(rng.random(flux.shape) < 0.2, np.nan, flux)
    # 20 % fewer points: 12 % more noise.
    assert np.mean(cdpp(time, holes)) == pytest.approx(1.12 * quiet, rel=0.15)
    with_gap = (time < time[0] + 0.1) | (time > time[0] + 0.18)
    assert np.mean(cdpp(time[with_gap], flux[:, with_gap])) == pytest.approx(quiet, rel=0.15)
    assert np.mean(predicted_cdpp(time[with_gap], flux[:, with_gap], error[:, with_gap])) == pytest.approx(
        quiet, rel=0.15
    )


def test_order_and_unit_do_not_matter() -> None:
    time, flux, error = uneven_night(stars=3)
    order = np.random.default_rng(3).permutation(time.size)
    np.testing.assert_allclose(cdpp(time[order], 7e4 * flux[:, order]), cdpp(time, flux), rtol=1e-9)
    np.testing.assert_allclose(
        predicted_cdpp(time[order], flux[:, order], error[:, order]), predicted_cdpp(time, flux, error), rtol=1e-9
    )


def test_what_has_no_value_is_nan() -> None:
    time, flux, error = uneven_night(stars=3)
    flux[0], flux[1, 5:] = np.nan, np.nan
    assert np.isnan(cdpp(time, flux)).tolist() == [True, True, False]
    assert np.isnan(predicted_cdpp(time, -flux, error)).all()


def test_bad_shapes_and_times() -> None:
    time, flux, error = uneven_night(stars=2)
    with pytest.raises(UnusableDataError, match="expected"):
        cdpp(time[1:], flux)
    with pytest.raises(UnusableDataError, match="expected"):
        predicted_cdpp(time, flux, error[:1])
    time[3] = np.nan
    with pytest.raises(UnusableDataError, match="1 times are not finite"):
        cdpp(time, flux)


def smoothing(time: np.ndarray, width: float, degree: int) -> np.ndarray:
    """float64[t, t]: row i gives the value at time i of the polynomial that fits the points of its window."""
    found = np.zeros((time.size, time.size))
    for row, middle in enumerate(time):
        inside = np.flatnonzero((time >= middle - 0.5 * width) & (time <= middle + 0.5 * width))
        powers = np.vander((time[inside] - middle) / (0.5 * width), degree + 1, increasing=True)
        found[row, inside] = np.linalg.pinv(powers)[0]
    return found


def test_as_fits_of_each_window_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense stretches, sparse ones, and nights apart: cumulative sums must not lose what a window of few points has."""
    monkeypatch.setattr("pipeline.variability.cdpp.PAIRS", 1 << 14)  # some columns at a time
    rng = np.random.default_rng(3)
    stretches = [np.arange(400) * 10 / 86400, 0.1 + np.sort(rng.uniform(0, 0.15, 90)), 3 + np.arange(150) * 60 / 86400]
    time = 2459000 + np.concatenate(stretches)
    flux = 1e4 * (1 + NOISE * rng.normal(size=(3, time.size)))
    error = 1e4 * NOISE * rng.uniform(0.5, 1.5, flux.shape)
    trend, average = smoothing(time, 1 / 24, 2), smoothing(time, 0.5 / 24, 0)
    count = np.count_nonzero(average, axis=1)
    average = average[count >= 0.5 * count.max()]
    response = average @ (np.eye(time.size) - trend)

    expected = 1e6 * np.sqrt(error**2 @ (response**2).mean(axis=0)) / np.median(flux, axis=1)
    np.testing.assert_allclose(predicted_cdpp(time, flux, error), expected, rtol=1e-9)
    means = (flux / (flux @ trend.T)) @ average.T
    np.testing.assert_allclose(cdpp(time, flux), 1e6 * means.std(axis=1), rtol=1e-9)
