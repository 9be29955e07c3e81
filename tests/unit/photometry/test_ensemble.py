import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.relative import calibrate_ensemble
from pipeline.statistics import light_curve_statistics
from tests.unit.made_curves import curves

SKY_VARIANCE = 3000.0  # e-², of the aperture


class Night:
    """Stars of known flux under clouds that take up to half of the light, with the noise of the CCD equation."""

    def __init__(self, seed: int, brightness: np.ndarray, epochs: int) -> None:
        self.rng = np.random.default_rng(seed)
        clouds = 1.0 - np.abs(np.cumsum(self.rng.normal(0.0, 0.02, epochs)))
        self.transparency = np.clip(clouds, 0.5, 1.0)
        self.brightness = brightness
        self.signal = np.ones((len(brightness), epochs))
        self.good = np.ones(epochs, dtype=bool)

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        true = self.brightness[:, None] * self.transparency * self.signal
        error = np.sqrt(true + SKY_VARIANCE)
        return true + error * self.rng.normal(size=true.shape), error

    @property
    def floor(self) -> np.ndarray:
        """Relative scatter of each star by the CCD equation alone."""
        true = self.brightness[:, None] * self.transparency
        return np.asarray(np.sqrt(np.mean((true + SKY_VARIANCE) / true**2, axis=1)))


def test_a_cloudy_night_with_variables_reaches_the_floor() -> None:
    brightness = 10 ** np.random.default_rng(0).uniform(3.5, 6.0, 200)
    night = Night(1, brightness, 300)
    variable = np.arange(200) % 10 == 0
    phase = np.arange(300) / 300 * 2 * np.pi
    night.signal[variable] += 0.05 * np.sin(phase * np.arange(1, 21)[:, None])
    flux, error = night.observe()
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(200, dtype=bool))

    statistics = light_curve_statistics(found.flux, found.error, night.good)
    ratio = statistics.standard_deviation[~variable] / night.floor[~variable]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)
    assert ratio.max() < 1.2
    assert np.median(statistics.chi2_reduced[~variable]) == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(statistics.median, 1.0)
    assert found.weight.sum() == pytest.approx(1.0)
    bright = brightness > 1e5
    assert found.weight[variable & bright].sum() < 0.01 * found.weight[bright].sum()
    # The variables themselves come out whole: sinusoids of 5 % have a standard deviation of 3.5 %.
    np.testing.assert_allclose(
        statistics.standard_deviation[variable], np.hypot(0.05 / np.sqrt(2), night.floor[variable]), rtol=0.1
    )


def test_faint_stars_help_together() -> None:
    """2000 faint stars beside 4 bright ones: together they weigh what their S/N² says, and the mean is better."""
    brightness = np.concatenate([np.full(4, 1e5), np.full(2000, 2e3)])
    night = Night(2, brightness, 60)
    flux, error = night.observe()
    few = calibrate_ensemble(curves(flux, error, good=night.good), np.arange(2004) < 4)
    all_stars = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(2004, dtype=bool))
    share = 1.0 / night.floor**2
    assert all_stars.weight[4:].sum() == pytest.approx(share[4:].sum() / share.sum(), abs=0.05)
    assert all_stars.flux[:4].std() < 0.95 * few.flux[:4].std()


def test_ten_stars() -> None:
    night = Night(3, np.geomspace(2e4, 1e6, 10), 150)
    night.signal[4] += 0.1 * np.sin(np.arange(150) / 9)
    flux, error = night.observe()
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(10, dtype=bool))
    rest = np.arange(10) != 4
    scatter = found.flux.std(axis=1)
    # Nothing can be better than the star's own noise and that of the other nine stars' best mean.
    inverse = 1.0 / night.floor**2
    best = np.sqrt(night.floor**2 + 1.0 / (inverse[rest].sum() - inverse))
    np.testing.assert_allclose(scatter[rest], best[rest], rtol=0.15)
    assert found.weight[4] < 0.01


def test_three_stars_and_a_transit() -> None:
    night = Night(4, np.array([3e5, 2e5, 1e5]), 200)
    in_transit = np.abs(np.arange(200) - 100) < 20
    night.signal[0, in_transit] -= 0.02
    flux, error = night.observe()
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.array([False, True, True]))
    depth = np.median(found.flux[0, ~in_transit]) - np.median(found.flux[0, in_transit])
    assert depth == pytest.approx(0.02, abs=0.002)
    np.testing.assert_array_equal(found.is_reference, [False, True, True])
    assert found.weight[0] == 0.0
    assert np.isfinite(found.flux).all()


def test_one_bright_star_among_faint_ones_keeps_its_weight() -> None:
    night = Night(5, np.array([1e6, 5e3, 5e3]), 400)
    flux, error = night.observe()
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(3, dtype=bool))
    assert found.weight[0] > 0.9
    assert found.flux[1].std() == pytest.approx(night.floor[1], rel=0.1)


def test_a_star_missing_from_some_frames_does_not_move_the_others() -> None:
    night = Night(6, np.array([1e6, 1e6, 8e5, 6e5, 5e5]), 200)
    night.transparency = np.linspace(1.0, 0.5, 200)
    flux, error = night.observe()
    whole = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(5, dtype=bool))
    flux[0, 120:] = np.nan
    holed = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(5, dtype=bool))
    assert np.isnan(holed.flux[0, 120:]).all()
    for star in range(1, 5):
        step = np.mean(holed.flux[star, 120:] / whole.flux[star, 120:]) - np.mean(
            holed.flux[star, :120] / whole.flux[star, :120]
        )
        assert abs(step) < 3e-4  # a plain mean would jump by 10 %
    assert (np.nanmean(holed.error[1:, 120:], axis=1) > np.nanmean(whole.error[1:, 120:], axis=1)).all()


def test_a_single_wild_value_of_a_reference_stays_its_own() -> None:
    night = Night(7, np.full(8, 1e6), 100)
    flux, error = night.observe()
    flux[2, 50] *= 1.5
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(8, dtype=bool))
    others = np.arange(8) != 2
    assert np.abs(found.flux[others, 50] - 1.0).max() < 5 * found.error[others, 50].max()
    assert found.flux[2, 50] == pytest.approx(1.5, rel=0.01)
    assert found.weight[2] == pytest.approx(1 / 8, rel=0.5)


def test_errors_contain_those_of_the_mean() -> None:
    flux = np.full((3, 10), 100.0)
    error = np.full((3, 10), 1.0)
    found = calibrate_ensemble(curves(flux, error), np.array([False, True, True]))
    np.testing.assert_allclose(found.flux, 1.0)
    # 1 % of its own and 1 % / sqrt(2) of two equal references; a reference has only the other one.
    np.testing.assert_allclose(found.error[0], 0.01 * np.sqrt(1.5))
    np.testing.assert_allclose(found.error[1:], 0.01 * np.sqrt(2.0))


def test_bad_epochs_get_values_and_have_no_say() -> None:
    night = Night(8, np.full(6, 1e6), 50)
    flux, error = night.observe()
    bad_values = flux.copy()
    bad_values[0, 10] *= 5.0
    night.good[10] = False
    one = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(6, dtype=bool))
    other = calibrate_ensemble(curves(bad_values, error, good=night.good), np.ones(6, dtype=bool))
    rest = np.arange(50) != 10
    np.testing.assert_allclose(one.flux[:, rest], other.flux[:, rest])
    assert np.isfinite(one.flux[:, 10]).all()


def test_a_lone_reference_serves_the_others_and_has_none_itself() -> None:
    night = Night(9, np.array([1e5, 2e5]), 30)
    flux, error = night.observe()
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.array([True, False]))
    assert np.isnan(found.flux[0]).all()
    np.testing.assert_allclose(found.flux[1], flux[1] / flux[0] / np.median(flux[1] / flux[0]))


def test_no_reference_is_refused() -> None:
    flux = np.ones((3, 5))
    with pytest.raises(UnusableDataError, match="0 reference candidates among 3 stars"):
        calibrate_ensemble(curves(flux, flux), np.zeros(3, dtype=bool))
    with pytest.raises(UnusableDataError, match="expected"):
        calibrate_ensemble(curves(flux, flux[:2]), np.ones(3, dtype=bool))


def test_variables_are_no_references() -> None:
    """Of 300 stars 30 vary, some by less than their noise: none stays, and hardly a constant one goes."""
    brightness = 10 ** np.random.default_rng(10).uniform(4.0, 6.0, 300)
    night = Night(11, brightness, 240)
    variable = np.arange(300) % 10 == 3
    hours = np.linspace(0.0, 6.0, 240)
    transit, sine = np.abs(hours - 3.0) < 1.0, np.sin(2 * np.pi * hours / 4.0)
    depth = np.maximum(0.01, 1.5 * night.floor)
    for number, star in enumerate(np.flatnonzero(variable)):
        night.signal[star] += depth[star] * (sine if number % 2 else -1.0 * transit)
    flux, error = night.observe()
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(300, dtype=bool))
    assert not found.is_reference[variable].any()
    assert not found.weight[variable].any()
    assert found.is_reference[~variable].sum() >= 0.97 * (~variable).sum()
    assert found.weight.sum() == pytest.approx(1.0)
    # A variable is compared with all references, as any other star.
    np.testing.assert_allclose(found.flux[variable].std(axis=1) > 1.1 * night.floor[variable], True)


def test_of_three_stars_the_variable_is_no_reference() -> None:
    night = Night(12, np.array([3e5, 3e5, 3e5]), 200)
    night.signal[1] += 0.05 * np.sin(np.arange(200) / 20)
    flux, error = night.observe()
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(3, dtype=bool))
    np.testing.assert_array_equal(found.is_reference, [True, False, True])


def test_two_stars_stay_whatever_they_do() -> None:
    night = Night(13, np.array([3e5, 3e5]), 200)
    night.signal[1] += 0.05 * np.sin(np.arange(200) / 20)
    flux, error = night.observe()
    assert calibrate_ensemble(curves(flux, error, good=night.good), np.ones(2, dtype=bool)).is_reference.all()


def test_a_variable_of_a_poor_field_is_found_among_its_few_peers() -> None:
    """40 stars from 1 to 100 mmag: the brightest variable scatters less than the median star."""
    night = Night(14, np.geomspace(2e6, 1e3, 40), 60)
    night.signal[3, 20:40] -= 0.03
    flux, error = night.observe()
    found = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(40, dtype=bool))
    assert found.is_reference.sum() >= 37
    assert not found.is_reference[3]


def _field(seed: int, n: int, epochs: int) -> tuple[Night, np.ndarray]:
    """A field with more faint stars than bright ones; a transit of 1.5 %, a sinusoid of 3 % and an eclipse of 20 %."""
    rng = np.random.default_rng(seed)
    night = Night(1000 + seed, 10 ** (6.0 - 1.8 * rng.power(2.0, n)), epochs)
    # A transit of a quarter of 60 epochs has S/N 8 or more where single values have 0.6 %.
    chosen = rng.choice(np.flatnonzero(night.floor < 0.006), 3, replace=False)
    hours, middle = np.linspace(0.0, 6.0, epochs), rng.uniform(2.0, 4.0)
    night.signal[chosen[0]] -= 0.015 * (np.abs(hours - middle) < 0.75)
    night.signal[chosen[1]] += 0.03 * np.sin(2 * np.pi * (hours / rng.uniform(1.0, 6.0) + rng.uniform()))
    night.signal[chosen[2]] -= 0.2 * np.clip(1.0 - np.abs(hours - middle) / 1.2, 0.0, 1.0)
    return night, chosen


@pytest.mark.parametrize("gain", [True, False])
@pytest.mark.parametrize(("n", "seeds"), [(20, 40), (75, 20), (300, 7)])
def test_variables_are_dropped_in_poor_and_rich_fields(n: int, seeds: int, gain: bool) -> None:
    """Whether the quoted errors are right, or lack the stars' own noise as they do where the gain is unknown."""
    stay, lost = np.zeros(3), 0
    for seed in range(seeds):
        night, chosen = _field(seed, n, 60)
        flux, error = night.observe()
        if not gain:
            error = np.full_like(flux, np.sqrt(SKY_VARIANCE))
        found = calibrate_ensemble(curves(flux, error, good=night.good), np.ones(n, dtype=bool))
        stay += found.is_reference[chosen]
        lost += int((~found.is_reference).sum() - (~found.is_reference[chosen]).sum())
    assert (stay <= 0.05 * seeds).all()
    assert lost <= 0.03 * seeds * (n - 3)


def test_values_that_do_not_count_do_as_if_they_were_missing() -> None:
    night = Night(15, np.geomspace(2e5, 1e6, 8), 100)
    flux, error = night.observe()
    rng = np.random.default_rng(16)
    values = rng.random(flux.shape) > 0.15
    spoiled = np.where(values, flux, 1.1 * flux)
    found = calibrate_ensemble(curves(spoiled, error, good=night.good), np.ones(8, dtype=bool), values)
    without = calibrate_ensemble(curves(np.where(values, flux, np.nan), error, good=night.good), np.ones(8, dtype=bool))
    assert found.is_reference.all()
    np.testing.assert_allclose(found.weight, without.weight)
    # They have light curves all the same, each up to its own median.
    assert np.isfinite(found.flux).all()
    ratio = found.flux[values] / without.flux[values]
    assert np.abs(ratio - 1.0).max() < 2e-3
    assert np.median(found.flux[~values]) == pytest.approx(1.1, abs=0.002)


def test_values_that_do_not_fit_are_refused() -> None:
    flux = np.ones((3, 5))
    with pytest.raises(UnusableDataError, match="expected"):
        calibrate_ensemble(curves(flux, flux), np.ones(3, dtype=bool), np.ones((3, 4), dtype=bool))
