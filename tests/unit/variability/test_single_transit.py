"""The Bayesian fit of one transit: its shape, its evidence, and whether its intervals hold the truth."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from pipeline.errors import UnusableDataError
from pipeline.transit import TransitFit, fit_transit
from pipeline.transit.evidence import log_evidence
from pipeline.transit.posterior import TREND_PRIOR_MAG, Posterior
from pipeline.transit.red_noise import red_noise_factor
from pipeline.transit.shape import hidden_share, separation

Floats = NDArray[np.float64]

START = 2458107.0
MID, DURATION, RATIO, IMPACT, LIMB = START + 0.12, 0.1, 0.13, 0.3, 0.5
NOISE = 0.003
QUICK = {"steps": 300, "walkers": 24}


def night(
    seed: int, *, ratio: float = RATIO, mid: float = MID, duration: float = DURATION, points: int = 110
) -> tuple[Floats, Floats, Floats]:
    """Time, flux and error of a transit over a trend of some percent."""
    rng = np.random.default_rng(seed)
    time = START + np.sort(rng.uniform(0.0, 0.25, points))
    trend = 1.01 + 0.05 * (time - MID) - 0.3 * (time - MID) ** 2
    transit = 1.0 - hidden_share(separation(time, mid, duration, ratio, IMPACT), ratio, LIMB)
    return time, trend * transit + NOISE * rng.normal(size=points), np.full(points, NOISE)


@pytest.fixture(scope="module")
def strong() -> TransitFit:
    time, flux, error = night(1)
    flux[7] = np.nan
    flux[60] *= 1.2  # a cosmic ray in the transit
    return fit_transit(time, flux, error, seed=1)


def test_a_disc_without_limb_darkening_hides_the_overlap_of_two_circles() -> None:
    k, z = 0.2, np.array([0.0, 0.5, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5])
    with np.errstate(invalid="ignore", divide="ignore"):
        planet = k**2 * np.arccos((z**2 + k**2 - 1) / (2 * z * k))
        star = np.arccos((z**2 + 1 - k**2) / (2 * z))
        kite = 0.5 * np.sqrt((1 + k - z) * (z + k - 1) * (z - k + 1) * (z + k + 1))
    expected = np.where(z <= 1 - k, k**2, np.where(z < 1 + k, (planet + star - kite) / np.pi, 0.0))
    np.testing.assert_allclose(hidden_share(z, k, 0.0), expected, atol=0.002 * k**2)


@pytest.mark.parametrize("z", [0.0, 0.1, 0.6, 0.95, 1.05])
def test_limb_darkening_against_a_fine_grid(z: float) -> None:
    k, u = 0.15, 0.6
    x, y = np.meshgrid(*(2 * [np.linspace(-1.2, 1.2, 3001)]))
    squared = x**2 + y**2
    light = np.where(squared < 1, 1 - u * (1 - np.sqrt(np.maximum(1 - squared, 0))), 0)
    expected = light[(x - z) ** 2 + y**2 < k**2].sum() / light.sum()
    assert hidden_share(z, k, u) == pytest.approx(expected, rel=0.006)


def test_a_transit_fades_and_brightens_monotonically() -> None:
    time = np.linspace(-0.6, 0.6, 401)
    lost = hidden_share(separation(time, 0.0, 1.0, 0.1, 0.4), 0.1, 0.5)
    assert (np.diff(lost[:201]) > -1e-5).all()
    np.testing.assert_allclose(lost, lost[::-1], atol=1e-12)
    np.testing.assert_array_equal(lost[np.abs(time) > 0.501], 0.0)
    assert (lost[np.abs(time) < 0.497] > 0).all()


def test_the_trend_is_integrated_out_exactly() -> None:
    """Woodbury's identity against the dense covariance."""
    rng = np.random.default_rng(2)
    time, error = np.linspace(-0.1, 0.1, 40), rng.uniform(0.002, 0.005, 40)
    magnitude = 0.3 * time + 0.004 * rng.normal(size=40)
    posterior = Posterior(time, magnitude, error, np.zeros(6), np.ones(6))
    x = np.array([[0.0, np.log(0.1), 0.1, 0.2, 0.5, np.log(0.003)]])
    columns = posterior.trend_columns
    covariance = np.diag(error**2 + 0.003**2) + TREND_PRIOR_MAG**2 * columns @ columns.T
    expected = multivariate_normal(posterior.dimming(x)[0], covariance).logpdf(magnitude)
    assert posterior.log_likelihood(x)[0] == pytest.approx(expected, abs=1e-6)


def test_evidence_of_a_gaussian_is_known() -> None:
    """A Gaussian likelihood of width s about m under a unit Gaussian prior: Z = N(m; 0, 1 + s²) in each dimension."""
    rng = np.random.default_rng(3)
    centre, width = np.array([0.5, -1.0, 2.0, 0.0, 1.0, 0.3]), 0.2

    def log_likelihood(q: Floats) -> Floats:
        return -0.5 * np.sum(((q - centre) / width) ** 2 + np.log(2 * np.pi * width**2), axis=1)

    spread = width / np.sqrt(1 + width**2)
    samples = centre / (1 + width**2) + spread * rng.normal(size=(4000, 6))
    expected = -0.5 * np.sum(centre**2 / (1 + width**2) + np.log(2 * np.pi * (1 + width**2)))
    found, error, effective = log_evidence(log_likelihood, samples, rng)
    assert error < 0.03
    assert effective > 1000
    assert found == pytest.approx(expected, abs=4 * error)


def test_a_strong_transit_is_found_and_weighed(strong: TransitFit) -> None:
    assert strong.log_bayes_factor > 50
    assert strong.log_bayes_factor_error < 0.2
    assert strong.effective_draws > 300
    true_depth = float(hidden_share(IMPACT, RATIO, LIMB))
    for estimate, truth in (
        (strong.mid_time, MID),
        (strong.duration, DURATION),
        (strong.radius_ratio, RATIO),
        (strong.depth, true_depth),
    ):
        assert estimate.lower < estimate.median < estimate.upper
        assert abs(estimate.median - truth) < 3 * estimate.error
    assert strong.mid_time.error * 1440 < 2
    assert strong.samples.shape[1] == 6
    assert np.median(strong.samples[:, 0]) == strong.mid_time.median


def test_the_detrended_light_curve_is_flat_beside_the_transit(strong: TransitFit) -> None:
    time, _, _ = night(1)
    assert not strong.used[[7, 60]].any()
    assert strong.used.sum() == 108
    outside = strong.used & (np.abs(time - MID) > 0.55 * DURATION)
    # The mean of some sixty points of 3 mmag, and a slope across the night that they allow.
    assert np.mean(strong.detrended[outside]) == pytest.approx(1.0, abs=0.002)
    assert abs(np.polyfit(time[outside] - MID, strong.detrended[outside], 1)[0]) < 0.02
    assert np.std((strong.detrended - strong.model)[strong.used]) == pytest.approx(NOISE, rel=0.25)
    assert np.isnan(strong.detrended[7])
    assert np.isfinite(strong.trend).all()


def test_noise_favours_no_transit() -> None:
    factors = []
    for seed in range(6):
        time, flux, error = night(100 + seed, ratio=0.0)
        factors.append(fit_transit(time, flux, error, seed=seed, **QUICK).log_bayes_factor)
    assert np.median(factors) < -1
    # Noise looks like a transit of this factor in fewer than e^-3 of the nights.
    assert np.max(factors) < 3


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """16 transits: 68 % of three estimates each, 33 ± 4 of 48 (wider, for a night's three are not independent)."""
    held, pulls = [], []
    for seed in range(16):
        rng = np.random.default_rng(1000 + seed)
        truth = {
            "mid_time": START + rng.uniform(0.1, 0.15),
            "duration": rng.uniform(0.08, 0.12),
            "radius_ratio": rng.uniform(0.1, 0.16),
        }
        time, flux, error = night(seed, ratio=truth["radius_ratio"], mid=truth["mid_time"], duration=truth["duration"])
        fit = fit_transit(time, flux, error, seed=seed, **QUICK)
        estimates = {name: getattr(fit, name) for name in truth}
        held += [estimate.lower < truth[name] < estimate.upper for name, estimate in estimates.items()]
        pulls.append((fit.mid_time.median - truth["mid_time"]) / fit.mid_time.error)
    assert 23 <= np.sum(held) <= 43
    assert np.median(np.abs(pulls)) < 1.2
    assert np.max(np.abs(pulls)) < 4.5


def test_underestimated_errors_become_jitter() -> None:
    time, flux, error = night(5)
    fit = fit_transit(time, flux, error / 5, seed=1, **QUICK)
    assert fit.jitter.median == pytest.approx(1.0857 * NOISE, rel=0.25)


def test_red_noise_widens_the_intervals() -> None:
    rng = np.random.default_rng(6)
    white = rng.normal(size=3000)
    red = np.convolve(rng.normal(size=3019), np.ones(20) / np.sqrt(20), mode="valid")
    assert red_noise_factor(white) < 1.15
    # Bins of 4 to 12 points within runs of 20: means hardly gain.
    assert red_noise_factor(red) == pytest.approx(np.sqrt(8), rel=0.15)
    time, flux, error = night(1)
    narrow, wide = (fit_transit(time, flux, error, seed=1, red_noise=beta, **QUICK) for beta in (1.0, 2.0))
    assert wide.mid_time.error > 1.5 * narrow.mid_time.error
    assert wide.log_bayes_factor < 0.5 * narrow.log_bayes_factor


def test_the_seed_decides_all() -> None:
    time, flux, error = night(7)
    first, second = (fit_transit(time, flux, error, seed=3, steps=60) for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.log_bayes_factor == second.log_bayes_factor


def test_the_window_holds_the_mid_time() -> None:
    time, flux, error = night(8)
    fit = fit_transit(time, flux, error, seed=1, mid_time_guess=MID + 0.01, mid_time_window=0.02, **QUICK)
    assert np.abs(fit.samples[:, 0] - MID - 0.01).max() <= 0.02
    assert fit.mid_time.median == pytest.approx(MID, abs=0.002)
    with pytest.raises(UnusableDataError, match=r"nothing within 0\.1 of mid-time"):
        fit_transit(time, flux, error, seed=1, mid_time_guess=MID + 2, mid_time_window=0.1)


def test_what_cannot_be_fitted_is_refused() -> None:
    time, flux, error = night(9)
    with pytest.raises(UnusableDataError, match="11 usable points"):
        fit_transit(time, np.where(np.arange(time.size) < 11, flux, np.nan), error, seed=1)
    with pytest.raises(UnusableDataError, match=r"over 0\.0 of time"):
        fit_transit(np.full(time.size, START), flux, error, seed=1)
    with pytest.raises(UnusableDataError, match="durations from"):
        fit_transit(time, flux, error, seed=1, duration_range=(0.2, 0.1))
