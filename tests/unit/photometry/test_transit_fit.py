import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.transit import fit_trapezoid, trapezoid

MID, DURATION, INGRESS, DEPTH = 2458107.20, 0.125, 0.018, 0.022


def light_curve(seed: int, noise: float = 0.002, points: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    time = np.linspace(2458107.06, 2458107.36, points)
    trend = 1.01 + 0.1 * (time - MID) - 0.4 * (time - MID) ** 2
    flux = trend * (1.0 - DEPTH * trapezoid(time, MID, DURATION, INGRESS))
    return time, flux + noise * rng.normal(size=points), np.full(points, noise)


def test_shape_of_the_trapezoid() -> None:
    time = np.array([-0.6, -0.5, -0.45, -0.4, 0.0, 0.45, 0.5])
    np.testing.assert_allclose(trapezoid(time, 0.0, 1.0, 0.1), [0, 0, 0.5, 1, 1, 0.5, 0], atol=1e-12)


def test_without_noise_the_truth_comes_back() -> None:
    time, flux, error = light_curve(0, noise=1e-7)
    fit = fit_trapezoid(time, flux, error, mid_time_guess=MID + 0.02)
    assert fit.depth == pytest.approx(DEPTH, abs=1e-5)
    assert fit.mid_time == pytest.approx(MID, abs=1e-5)
    assert fit.duration == pytest.approx(DURATION, abs=1e-4)
    assert fit.ingress == pytest.approx(INGRESS, abs=1e-4)
    x = MID - fit.reference_time
    assert fit.baseline @ [1, x, x**2] == pytest.approx(1.01, abs=1e-5)
    assert fit.baseline[2] == pytest.approx(-0.4, abs=1e-2)
    np.testing.assert_allclose(fit.model, flux, atol=1e-5)


@pytest.mark.parametrize("duration_guess", [None, 0.1, 0.16])
def test_errors_are_the_scatter_of_the_results(duration_guess: float | None) -> None:
    pulls = []
    for seed in range(40):
        time, flux, error = light_curve(seed)
        fit = fit_trapezoid(time, flux, 7.0 * error, mid_time_guess=MID - 0.03, duration_guess=duration_guess)
        pulls.append(
            [
                (fit.depth - DEPTH) / fit.depth_error,
                (fit.mid_time - MID) / fit.mid_time_error,
                (fit.duration - DURATION) / fit.duration_error,
            ]
        )
        assert fit.residual_scatter == pytest.approx(0.002, rel=0.35)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.6
    np.testing.assert_allclose(np.std(pulls, axis=0), 1.0, atol=0.4)


def test_outliers_and_gaps_are_left_out() -> None:
    time, flux, error = light_curve(3)
    flux[[20, 90, 150]] += [0.3, -0.4, 0.2]
    flux[40:45] = np.nan
    fit = fit_trapezoid(time, flux, error, mid_time_guess=MID, duration_guess=0.12)
    assert fit.depth == pytest.approx(DEPTH, abs=5 * fit.depth_error)
    assert fit.depth_error < 0.001
    assert not fit.used[[20, 90, 150, *range(40, 45)]].any()
    assert fit.used.sum() >= 189
    assert np.isfinite(fit.model).all()


def test_a_brightening_has_negative_depth() -> None:
    time, flux, error = light_curve(4)
    fit = fit_trapezoid(time, 2.0 - flux, error, mid_time_guess=MID, duration_guess=0.12)
    assert fit.depth == pytest.approx(-DEPTH, abs=0.002)


def test_too_few_points_are_refused() -> None:
    time, flux, error = light_curve(5)
    flux[11:] = np.nan
    with pytest.raises(UnusableDataError, match="11 usable points"):
        fit_trapezoid(time, flux, error, mid_time_guess=MID)
    with pytest.raises(UnusableDataError, match=r"over 0\.0 of time"):
        fit_trapezoid(np.zeros(200), np.ones(200), error, mid_time_guess=0.0)
