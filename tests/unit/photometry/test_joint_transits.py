"""Transits of several nights and filters at once, on light curves of known planets; and ephemerides."""

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.transit.ephemeris import Ephemeris, refined, residuals
from pipeline.transit.joint import JointFit, TransitNight, fit_transits
from pipeline.transit.joint_priors import Known, PlanetPrior, limb_darkening
from pipeline.transit.shape import hidden_share, orbit_duration, orbit_separation

PERIOD, AXIS, IMPACT, RATIO = 2.15, 6.1, 0.15, 0.13
DARKENING = {"V": (0.42, 0.28), "Rc": (0.32, 0.30)}
T0, CADENCE_D = 2460600.5, 0.0025
# `1 - light_curve` of batman 2.5.3 (Kreidberg 2015, PASP 127, 1161), quadratic law, at 0 to 0.08 days from mid-transit.
BATMAN = {
    (0.15, 6.0, 0.1, 0.4, 0.25, 2.15): (
        0.0271546,
        0.0269775,
        0.0264064,
        0.0252968,
        0.0232720,
        0.0181479,
        0.0042304,
        0,
        0,
    ),
    (0.1, 10.0, 0.5, 0.3, 0.2, 4.0): (0.0110175, 0.0109576, 0.010765, 0.0103928, 0.0097152, 0.007567, 0.000801, 0, 0),
    (0.08, 15.0, 0.93, 0.5, 0.1, 8.0): (0.0048226, 0.0045926, 0.0037926, 0.0023748, 0.0007046, 0, 0, 0, 0),
}


@pytest.mark.parametrize("case", list(BATMAN))
def test_the_model_is_batmans(case: tuple[float, ...]) -> None:
    """Within 0.2 % of the depth."""
    k, a, b, u, v, period = case
    z = orbit_separation(0.01 * np.arange(9), 0.0, period, a, b)
    truth = np.array(BATMAN[case])
    assert hidden_share(z, k, u, v) == pytest.approx(truth, abs=0.002 * truth[0])
    half = 0.5 * float(orbit_duration(period, a, k, b))
    edge = orbit_separation(np.array([half - 1e-4, half + 1e-4]), 0.0, period, a, b)
    assert (hidden_share(edge, k, u, v) > 0).tolist() == [True, False]


def test_nothing_is_hidden_behind_the_star() -> None:
    z = orbit_separation(np.array([0.0, 0.5 * PERIOD]), 0.0, PERIOD, AXIS, IMPACT)
    assert (hidden_share(z, RATIO, 0.4, 0.2) > 0).tolist() == [True, False]


def night(
    number: int, filter_name: str, rng: np.random.Generator, noise: float = 0.002, red: float = 0.0, late: float = 0.0
) -> TransitNight:
    """Five hours about a transit, with a bent trend; ``red``: rms of noise of half an hour."""
    mid = T0 + number * PERIOD
    time = mid + CADENCE_D * (np.arange(84) - 40.3)
    z = orbit_separation(time, mid + late, PERIOD, AXIS, IMPACT)
    x = (time - mid) / 0.1
    flux = (1.0 - hidden_share(z, RATIO, *DARKENING[filter_name])) * (1.0 + 0.003 * x - 0.002 * x**2)
    if red:
        slow = np.convolve(rng.standard_normal(84 + 11), np.ones(12) / np.sqrt(12), mode="valid")
        flux = flux + red * slow
    flux = flux + noise * rng.standard_normal(time.size)
    return TransitNight(time, 7.0 * flux, np.full(time.size, 7.0 * noise), filter_name, mid, 0.03)


PRIOR = PlanetPrior(PERIOD, Known(6.0, 0.15), Known(0.2, 0.1), tuple((name, *pair) for name, pair in DARKENING.items()))


def pulls(fit: JointFit) -> list[float]:
    """Of the mid-times, then of the radius ratio."""
    found = [one.mid_time for one in fit.nights]
    truth = [T0 + number * PERIOD for number in range(len(found))]
    pulls = [(one.median - true) / one.error for one, true in zip(found, truth, strict=True)]
    return [*pulls, (fit.radius_ratio.median - RATIO) / fit.radius_ratio.error]


def test_nights_and_filters_together() -> None:
    """Three nights in two filters: within the errors, and the radius more exactly than by one night."""
    rng = np.random.default_rng(5)
    nights = [night(number, name, rng) for number, name in enumerate(("V", "Rc", "V"))]
    fit = fit_transits(nights, PRIOR, seed=1, steps=700)
    assert max(np.abs(pulls(fit))) < 3.5
    assert fit.axis_ratio.median == pytest.approx(AXIS, abs=3.5 * fit.axis_ratio.error)
    assert 0.0008 < fit.radius_ratio.error < 0.004
    assert max(one.mid_time.error for one in fit.nights) < 75.0 / 86400.0
    assert set(fit.limb_darkening) == set(fit.depth) == {"V", "Rc"}
    assert fit.duration.median == pytest.approx(float(orbit_duration(PERIOD, AXIS, RATIO, IMPACT)), abs=0.004)
    assert fit.effective > 300
    for one in fit.nights:
        assert one.residual_scatter == pytest.approx(0.002, rel=0.25)
        assert np.abs((one.detrended - one.model).mean()) < 0.0006
    alone = fit_transits(nights[:1], PRIOR, seed=1, steps=700)
    assert alone.radius_ratio.error > 1.2 * fit.radius_ratio.error


def test_the_same_seed_gives_the_same_fit() -> None:
    one = night(0, "V", np.random.default_rng(1))
    first, again = (fit_transits([one], PRIOR, seed=3, steps=200) for _ in range(2))
    assert first.nights[0].mid_time == again.nights[0].mid_time


def test_nights_that_cannot_be_fitted_are_named() -> None:
    good = night(0, "V", np.random.default_rng(1))
    short = TransitNight(good.time[:5], good.flux[:5], good.error[:5], "V", T0, 0.02)
    away = TransitNight(good.time, good.flux, good.error, "V", T0 + 5.0, 0.02)
    with pytest.raises(UnusableDataError, match="night 2: 5 usable points"):
        fit_transits([good, short], PRIOR, seed=1)
    with pytest.raises(UnusableDataError, match=r"night 1: no point within 0\.02 d"):
        fit_transits([away], PRIOR, seed=1)
    with pytest.raises(UnusableDataError, match="no night"):
        fit_transits([], PRIOR, seed=1)


def test_limb_darkening_is_physical() -> None:
    rng = np.random.default_rng(1)
    q, r = rng.normal(size=(2, 5000))
    for known in (None, (0.1, 0.6), (0.9, 0.05)):
        u, v = limb_darkening(q, r, known)
        assert (u >= 0).all()
        assert (u + v <= 1.0 + 1e-12).all()
        assert (u + 2.0 * v >= -1e-12).all()


def test_observed_minus_calculated_and_a_better_ephemeris() -> None:
    """Errors of the period grow with the epochs; the refined ephemeris is off by its error (300 sets of mid-times)."""
    by = Ephemeris(2455000.0, 0.0003, 2.15, 2e-6)
    found = residuals(np.array([2455000.0 + 1000 * 2.15 + 0.004]), np.array([0.0005]), by)
    assert found.epoch.tolist() == [1000]
    assert found.difference[0] == pytest.approx(0.004, abs=1e-9)
    assert found.predicted_error[0] == pytest.approx(np.hypot(0.0003, 0.002))
    rng, off = np.random.default_rng(2), []
    epochs = np.array([900, 940, 1000, 1100])
    for _ in range(300):
        truth = 2455000.0 + 0.0003 * rng.standard_normal(), 2.15 + 2e-6 * rng.standard_normal()
        times = truth[0] + epochs * truth[1] + 0.0005 * rng.standard_normal(4)
        new = refined(times, np.full(4, 0.0005), by)
        assert new is not None
        time, error = new.predicted(np.array([1200]))
        off.append([(new.period - truth[1]) / new.period_error, (time[0] - truth[0] - 1200 * truth[1]) / error[0]])
    assert np.std(off, axis=0) == pytest.approx(1.0, abs=0.12)
    assert new.period_error < 0.5 * by.period_error
    assert refined(np.zeros(0), np.zeros(0), by) is None
