import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.variability import against_like_stars, best_box, variability_indices
from tests.unit.made_curves import curves

TIME = np.linspace(2459000.0, 2459000.3, 300)
NOISE = 0.01
ERROR = np.full((4000, 300), NOISE)


def constant_stars(seed: int, stars: int = 4000) -> np.ndarray:
    return 1 + NOISE * np.random.default_rng(seed).normal(size=(stars, TIME.size))


def test_constant_stars_have_standard_normal_significances() -> None:
    found = variability_indices(curves(constant_stars(1), ERROR, time=TIME))
    for values in (found.stetson_j_significance, found.von_neumann_significance, found.excess_significance):
        assert np.mean(values) == pytest.approx(0.0, abs=0.08)
        assert np.std(values) == pytest.approx(1.0, abs=0.05)
        assert np.mean(values > 2.326) == pytest.approx(0.01, abs=0.006)
    assert np.mean(found.stetson_k) == pytest.approx(np.sqrt(2 / np.pi), abs=0.005)
    assert np.mean(found.von_neumann) == pytest.approx(2.0, abs=0.01)
    assert np.mean(found.chi2_reduced) == pytest.approx(1.0, abs=0.01)
    assert np.mean(found.excess_variance) == pytest.approx(0.0, abs=0.02 * NOISE**2)


def test_a_sine_is_smooth_excess() -> None:
    flux = constant_stars(2, 50) + 0.05 * np.sin(2 * np.pi * (TIME - TIME[0]) / 0.06)
    found = variability_indices(curves(flux, ERROR[:50], time=TIME))
    assert np.mean(found.excess_variance) == pytest.approx(0.05**2 / 2, rel=0.05)
    assert np.mean(found.chi2_reduced) == pytest.approx(1 + 12.5, rel=0.05)
    assert found.von_neumann.max() < 0.5
    # Neighbours deviate alike: sqrt(P) is |d|, on average 5 * 2 / pi, less the noise.
    assert np.mean(found.stetson_j) == pytest.approx(5 * 2 / np.pi, rel=0.05)
    assert np.mean(found.stetson_k) == pytest.approx(np.sqrt(8) / np.pi, abs=0.02)
    assert min(found.stetson_j_significance.min(), found.von_neumann_significance.min()) > 12


def test_neither_flux_unit_nor_uneven_errors_matter() -> None:
    rng = np.random.default_rng(3)
    error = rng.uniform(0.005, 0.03, (500, 300))
    flux = 1 + error * rng.normal(size=error.shape)
    found, scaled = (
        variability_indices(curves(flux, error, time=TIME)),
        variability_indices(curves(7e4 * flux, 7e4 * error, time=TIME)),
    )
    np.testing.assert_allclose(scaled.stetson_j, found.stetson_j, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scaled.von_neumann, found.von_neumann, rtol=1e-6)
    assert np.std(found.stetson_j_significance) == pytest.approx(1.0, abs=0.1)
    assert np.mean(found.excess_significance) == pytest.approx(0.0, abs=0.2)


def test_cosmic_rays_are_no_variability() -> None:
    flux = constant_stars(4, 300)
    flux[:, [40, 180]] += 0.8
    found = variability_indices(curves(flux, ERROR[:300], time=TIME))
    # Two points of 5 sigma: chi² grows by 48 of 299, two standard deviations.
    assert np.mean(found.excess_significance) < 2.5
    assert np.mean(found.stetson_j_significance) == pytest.approx(0.0, abs=0.3)
    assert np.mean(found.von_neumann_significance) == pytest.approx(0.0, abs=0.5)
    assert found.stetson_k.max() < 0.3


def test_points_across_a_gap_make_no_pair() -> None:
    time = np.concatenate([TIME[:150], TIME[150:] + 1.0])
    flux = constant_stars(5, 2)
    flux[:, 149:151] += 0.04  # on both sides of the gap
    together, apart = (
        variability_indices(curves(flux, ERROR[:2], time=TIME)),
        variability_indices(curves(flux, ERROR[:2], time=time)),
    )
    assert (together.stetson_j > apart.stetson_j).all()


def test_missing_points_and_empty_rows() -> None:
    flux = constant_stars(6, 200)
    flux[np.random.default_rng(7).random(flux.shape) < 0.2] = np.nan
    flux[0], flux[1, 9:] = np.nan, np.nan
    found = variability_indices(curves(flux, ERROR[:200], time=TIME))
    assert np.isnan(found.stetson_j[:2]).all()
    assert np.isfinite(found.stetson_j[2:]).all()
    assert np.std(found.stetson_j_significance[2:]) == pytest.approx(1.0, abs=0.2)
    assert np.isnan(best_box(TIME, flux, ERROR[:200]).snr[:2]).all()


def test_bad_shapes_and_times() -> None:
    flux = constant_stars(8, 2)
    with pytest.raises(UnusableDataError, match="expected"):
        variability_indices(curves(flux, ERROR[:2], time=TIME[1:]))
    with pytest.raises(UnusableDataError, match="not in order"):
        best_box(TIME[::-1], flux, ERROR[:2])


def test_a_box_is_found_where_and_as_deep_as_it_is() -> None:
    flux = constant_stars(9, 100)
    inside = (TIME[0] + 0.1 < TIME) & (TIME[0] + 0.124 > TIME)  # 0.08 of the night, as one of the boxes tried
    flux[:50, inside] *= 0.96
    flux[50:, inside] *= 1.04
    found = best_box(TIME, flux, ERROR[:100])
    # 24 points of 1 %: 0.2 % each, and the best of many boxes is deeper than the truth by less than that.
    assert np.mean(found.depth[:50]) == pytest.approx(0.04, abs=0.001)
    assert np.mean(found.depth[50:]) == pytest.approx(-0.04, abs=0.001)
    assert np.median(found.start) == pytest.approx(TIME[0] + 0.1, abs=0.003)
    assert np.median(found.duration) == pytest.approx(0.024, rel=0.01)
    assert np.mean(found.snr) == pytest.approx(4 * np.sqrt(24 * 276 / 300), rel=0.05)
    assert found.log_false_alarm.max() < -50


@pytest.mark.parametrize("points", [80, 300])
def test_false_alarms_of_boxes_are_no_rarer_than_they_say(points: int) -> None:
    found = best_box(TIME[:points], constant_stars(10)[:, :points], ERROR[:, :points])
    chance = np.exp(found.log_false_alarm)
    # 40 of 4000 expected, at most a standard deviation or so above; short nights have fewer independent boxes.
    assert np.mean(chance < 0.01) < 0.0135
    assert np.mean(chance < 0.1) < 0.11
    assert np.mean(chance < 0.1) > 0.01


def test_what_all_stars_of_a_magnitude_do_is_no_excess() -> None:
    rng = np.random.default_rng(11)
    magnitude = np.sort(rng.uniform(10, 16, 3000))
    floor = 30 * 10 ** (-0.4 * (magnitude - 10))  # bright stars show the same red noise more
    value = floor * (1 + 0.3 * rng.normal(size=3000)) + rng.normal(size=3000)
    value[[20, 1500]] += [80.0, 8.0]
    found = against_like_stars(value, magnitude, least_spread=1.0)
    assert np.std(np.delete(found, [20, 1500])) == pytest.approx(1.0, abs=0.15)
    assert np.delete(found, [20, 1500]).max() < 5
    assert found[20] > 5
    assert found[1500] > 6


def test_skew_tails_widen_the_spread() -> None:
    """Exponential values: beyond 1.645 lie no more than the 5 % of a Gaussian."""
    rng = np.random.default_rng(13)
    found = against_like_stars(10 * rng.exponential(size=4000), rng.uniform(10, 16, 4000))
    assert np.mean(found > 1.645) == pytest.approx(0.05, abs=0.008)


def test_the_field_never_sharpens_a_significance() -> None:
    rng = np.random.default_rng(12)
    value = 0.1 * rng.normal(size=500)
    found = against_like_stars(value, rng.uniform(10, 16, 500), least_spread=1.0)
    assert np.abs(found).max() < 0.6


def test_few_stars_and_missing_magnitudes() -> None:
    assert np.isnan(against_like_stars(np.array([1.0, np.nan]), np.array([np.nan, 1.0]))).all()
    value = np.array([0.0, 1.0, -1.0, 9.0, np.nan])
    found = against_like_stars(value, np.arange(5.0), least_spread=1.0)
    assert np.isnan(found[4])
    assert np.nanargmax(found) == 3
