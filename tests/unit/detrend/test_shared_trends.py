"""SysRem and external trends: what is shared goes, what a star does by itself stays."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.detrend import Detrended, detrend_sysrem, detrend_tfa, detrend_trends
from pipeline.detrend.detrended_field import MIN_TEACHERS
from pipeline.detrend.sysrem import MAX_TRENDS
from pipeline.detrend.trends import independent
from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.statistics import row_median
from tests.unit.detrend.nights import HOURS, STARS, DetrendNight

Method = Callable[[DetrendNight], Detrended]


def sysrem(night: DetrendNight) -> Detrended:
    return detrend_sysrem(night.field())


def trends(night: DetrendNight) -> Detrended:
    return detrend_trends(night.field(), night.vectors)


METHODS = pytest.mark.parametrize("method", [sysrem, trends])


@METHODS
@pytest.mark.parametrize("systematics", [0.002, 0.006])
def test_shared_systematics_go_down_to_the_white_noise(method: Method, systematics: float) -> None:
    night = DetrendNight(1, systematics)
    before = night.over_white(night.field().curves.flux)
    found = method(night)
    after = night.over_white(found.flux)
    assert np.median(before) > 1.05
    assert np.quantile(before, 0.9) > 1.5
    assert np.median(after) < 1.02
    assert np.quantile(after, 0.98) < 1.1
    # Four trends take 4 of 180 degrees of freedom, 1 % of the scatter: less would be the noise eaten.
    assert np.median(after) > 0.97


@METHODS
def test_variables_keep_their_amplitude(method: Method) -> None:
    """Systematics of 2 mmag a source, transits of 15 and sinusoids of 30: a few per cent of each, as before.

    What is left of the systematics in single variables is their own part, which nobody can foretell.
    """
    ratios = []
    for seed in range(4):
        night = DetrendNight(seed, 0.002)
        found = method(night)
        assert found.guarded[night.variable].all()
        ratios += [*np.concatenate(night.amplitudes(found.flux))]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)
    assert np.std(ratios) < 0.05
    assert np.std(ratios) <= 1.05 * np.std(
        [r for s in range(4) for r in np.concatenate(night_before(DetrendNight(s, 0.002)))]
    )


def night_before(night: DetrendNight) -> tuple[np.ndarray, np.ndarray]:
    return night.amplitudes(night.field().curves.flux)


@METHODS
def test_a_clean_night_is_left_alone(method: Method) -> None:
    for seed in range(3):
        night = DetrendNight(seed, 0.0)
        found = method(night)
        assert np.median(night.over_white(found.flux)) > 0.99
        transit, sine = night.amplitudes(found.flux)
        np.testing.assert_allclose(np.concatenate([transit, sine]), 1.0, atol=0.06)  # 2 to 3 mmag of noise a point
    if method is sysrem:
        assert len(found.trends) == 0
        np.testing.assert_allclose(found.flux, night.field().curves.flux)


def test_the_number_of_trends_is_that_of_the_systematics() -> None:
    night = DetrendNight(2, 0.004)
    found = sysrem(night)
    assert 3 <= len(found.trends) <= MAX_TRENDS
    # The three that were put in lie within what was found.
    good = np.array(night.vectors)
    good -= good.mean(axis=1)[:, None]
    inside = np.linalg.lstsq(found.trends.T, good.T, rcond=None)[0].T @ found.trends
    explained = 1.0 - ((good - inside) ** 2).sum(axis=1) / (good**2).sum(axis=1)
    assert explained.min() > 0.97


@METHODS
def test_a_protected_star_is_not_fitted(method: Method) -> None:
    """A transit below what stands out, as deep as the star's noise: fitted it loses depth, protected it does not."""
    losses: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(3):
        night = DetrendNight(seed, 0.003)
        faint = np.argsort(night.brightness)[20:60]
        shape = -1.0 * (np.abs(HOURS - 3.0) < 1.0)
        quiet: dict[bool, list[np.ndarray]] = {}
        for depth in (0.0, 0.6):
            night.flux[faint] += depth * night.noise[faint, None] * shape
            for protect in (False, True):
                protected = np.isin(np.arange(STARS), faint) & protect
                field = night.field(protected)
                found = detrend_sysrem(field) if method is sysrem else detrend_trends(field, night.vectors)
                dip = found.flux[faint][:, shape == 0].mean(axis=1) - found.flux[faint][:, shape < 0].mean(axis=1)
                quiet.setdefault(protect, []).append(dip / night.noise[faint])
        for protect, (without, with_dip) in quiet.items():
            losses[protect] += [*((with_dip - without) / 0.6)]
    assert np.median(losses[True]) == pytest.approx(1.0, abs=0.02)
    assert np.median(losses[False]) < 0.9


@METHODS
def test_gaps_bad_epochs_and_wild_values(method: Method) -> None:
    night = DetrendNight(3, 0.004)
    rng = np.random.default_rng(0)
    gaps = rng.random(night.flux.shape) < 0.05
    gaps[7] = True  # a star without any value
    gaps[8, 20:] = True
    night.good[[10, 90, 91]] = False
    night.flux[:, 90] *= 3.0
    night.flux[rng.random(night.flux.shape) < 0.002] *= 1.3
    night.flux[gaps] = np.nan
    night.error[5, 3] = np.inf
    found = method(night)
    assert np.isnan(found.flux[gaps]).all()
    assert np.isfinite(found.flux[~gaps][:, None]).mean() > 0.98
    plain = night.flux / row_median(night.flux[:, night.good])[:, None]
    wild = (np.abs(plain - 1.0) > 0.1)[:, night.good].any(axis=1)
    full = (gaps.mean(axis=1) < 0.5) & ~wild & ~night.variable
    ratio = np.nanstd(found.flux[full][:, night.good], axis=1) / night.noise[full]
    assert np.median(ratio) < 1.05
    # The epoch that was rejected is corrected as well, as far as its values go.
    assert np.isfinite(found.flux[full][:, 10]).mean() > 0.9


@pytest.mark.parametrize("method", ["sysrem", "trends", "tfa"])
def test_spoiled_values_tell_nothing_and_are_freed_like_others(method: str) -> None:
    """Tracks of hot pixels raise a twentieth of each star's points, for some stars a fifth, by 3 %: inside any clip."""
    night = DetrendNight(3, 0.004)
    rng = np.random.default_rng(0)
    spoiled = rng.random(night.flux.shape) < np.where(np.arange(STARS) % 10 == 0, 0.2, 0.05)[:, None]
    field = night.field()
    clean = field.curves
    raised, missing = (np.where(spoiled, value, clean.flux) for value in (clean.flux + 0.03, np.nan))
    flag = np.where(spoiled, int(Flag.BAD_PIXEL), 0).astype(np.int32)
    detrend = {
        "sysrem": detrend_sysrem,
        "trends": lambda field: detrend_trends(field, night.vectors),
        "tfa": detrend_tfa,
    }[method]
    found = detrend(replace(field, curves=replace(clean, flux=raised, flag=flag)))
    without = detrend(replace(field, curves=replace(clean, flux=missing)))
    np.testing.assert_allclose(found.flux[~spoiled], without.flux[~spoiled])
    np.testing.assert_array_equal(found.guarded, without.guarded)
    # What is divided by does not depend on what is divided.
    factor = raised / found.flux
    unraised = detrend(replace(field, curves=replace(clean, flag=flag)))
    np.testing.assert_allclose(factor, clean.flux / unraised.flux)
    assert np.isfinite(found.flux[spoiled]).all()


@METHODS
def test_too_few_stars_or_epochs_are_left_as_they_are(method: Method) -> None:
    night = DetrendNight(4, 0.006)
    field = night.field()
    few = np.arange(STARS) < MIN_TEACHERS - 1
    field = replace(field, constant=few)
    found = detrend_sysrem(field) if method is sysrem else detrend_trends(field, night.vectors)
    np.testing.assert_array_equal(found.flux, field.curves.flux)
    short = np.arange(HOURS.size) < 8
    field = replace(field, curves=replace(field.curves, good=short), constant=~few)
    found = detrend_sysrem(field) if method is sysrem else detrend_trends(field, night.vectors)
    assert len(found.trends) == 0


def test_vectors_become_independent_and_useless_ones_go() -> None:
    t = np.linspace(0.0, 1.0, 100)
    good = np.ones(100, dtype=bool)
    good[3] = False
    holed = t**2
    holed[50] = np.nan
    found = independent([t, np.full(100, 2.0), np.full(100, np.nan), 3.0 * t + 1.0, holed], good)
    assert 2 <= len(found) <= 6
    np.testing.assert_allclose(found[:, good] @ found[:, good].T, np.eye(len(found)), atol=1e-9)
    np.testing.assert_allclose(found[:, good].mean(axis=1), 0.0, atol=1e-9)
    assert independent([np.ones(100)], good).shape == (0, 100)
    with pytest.raises(UnusableDataError, match="expected one value an epoch"):
        independent([t[:-1]], good)


def test_arrays_that_do_not_fit_are_refused() -> None:
    field = DetrendNight(0, 0.0).field()
    with pytest.raises(UnusableDataError, match=r"of 200 stars: .*expected \(n,\)"):
        replace(field, brightness=field.brightness[:5])
    with pytest.raises(UnusableDataError, match=r"expected \(n, t\), .*\(n, 2\) and \(t,\)"):
        replace(field.curves, xy=field.curves.xy[:5])
