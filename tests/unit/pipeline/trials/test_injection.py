"""Injection on arrays: stars scaled by what was asked, all else as it was, and honest numbers of what is found."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.trials.injection import (
    PULSATION,
    REACH_FWHM,
    TRANSIT,
    Signal,
    binomial_interval,
    choose_stars,
    draw_signals,
    fit_amplitude,
    scale_stars,
)

FWHM = 3.2  # px
LEVEL = 1100.0  # ADU, of bias and sky
SHAPE = (120, 140)
XY = np.array([[40.3, 52.7], [90.6, 60.2], [71.9, 95.4]])
FLUX = np.array([2.0e5, 8.0e4, 3.0e4])  # ADU


def light(xy: NDArray[np.float64], flux: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian stars."""
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    sigma = FWHM / 2.3548
    image = np.zeros(SHAPE)
    for (x, y), f in zip(xy, flux, strict=True):
        image += f / (2 * np.pi * sigma**2) * np.exp(-0.5 * ((xx - x) ** 2 + (yy - y) ** 2) / sigma**2)
    return image


def frame(seed: int = 1) -> NDArray[np.uint16]:
    """A raw frame with photon noise, 1 electron an ADU."""
    return np.random.default_rng(seed).poisson(light(XY, FLUX) + LEVEL).astype(np.uint16)


def within(xy: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray(np.hypot(xx - xy[0], yy - xy[1]) <= radius)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("factor", [0.5, 0.97, 1.05])
def test_a_star_is_scaled_and_nothing_else_is_touched(factor: float) -> None:
    raw = np.rint(light(XY, FLUX) + LEVEL).astype(np.uint16)  # no noise: the truth is known better than by photons
    new = scale_stars(raw, XY[:2], np.array([factor, 1.0]), FWHM, rng())
    assert new.dtype == raw.dtype
    near = within(XY[0], REACH_FWHM * FWHM)
    np.testing.assert_array_equal(new[~near], raw[~near])
    # Roundings of 515 pixels: 11 ADU; the other stars' wings raise the level by less than 0.05 ADU a pixel.
    change = new[near].astype(float).sum() - raw[near].sum()
    assert change == pytest.approx((factor - 1) * FLUX[0], abs=35 + 0.0005 * abs(factor - 1) * FLUX[0])


def test_noise_does_not_bias_the_scaling() -> None:
    """Photon noise scales with the star, and the level beside it is known to its mean: 940 ADU in the whole stamp."""
    near = within(XY[0], REACH_FWHM * FWHM)
    changes = []
    for seed in range(40):
        raw = frame(seed)
        new = scale_stars(raw, XY[:1], np.array([0.9]), FWHM, rng())
        changes.append(new[near].astype(float).sum() - raw[near].sum())
    # 0.2 % of the star; the mean of 40 scatters by 0.1 * 940 / sqrt(40) = 15 ADU, 0.07 % of the change.
    assert np.mean(changes) == pytest.approx(-0.1 * FLUX[0], rel=0.0025)


def test_signals_below_half_a_unit_survive_whole_numbers() -> None:
    """A thousandth of 30,000 ADU is at most 2.6 ADU in a pixel and mostly below 0.5: the mean of roundings has all."""
    raw, many = frame(), 200
    near = within(XY[2], REACH_FWHM * FWHM)
    generator = rng()
    changes = []
    for _ in range(many):
        new = scale_stars(raw, XY[2:], np.array([0.999]), FWHM, generator)
        changes.append(new[near].astype(float).sum() - raw[near].sum())
    # Roundings scatter by at most half a unit in 515 pixels, 11 ADU; the mean of 200 by 0.8; the sky in the stamp by 1.
    assert np.mean(changes) == pytest.approx(-30.0, abs=3.5)


def test_other_types_and_untouched_pixels_are_respected() -> None:
    raw = frame()
    peak = np.unravel_index(int(raw.argmax()), raw.shape)
    untouched = np.zeros(SHAPE, np.bool_)
    untouched[peak] = True
    new = scale_stars(raw, XY[:1], np.array([0.5]), FWHM, rng(), untouched)
    assert new[peak] == raw[peak]
    full = scale_stars(raw, XY[:1], np.array([9.0]), FWHM, rng())
    assert full.max() == np.iinfo(np.uint16).max  # and none has run over
    assert full[peak] == np.iinfo(np.uint16).max
    signed = (raw.astype(np.int32) - 32768).astype(np.int16)  # as FITS stores them: the zero does not matter
    shifted = scale_stars(signed, XY[:1], np.array([0.9]), FWHM, rng())
    same = scale_stars(raw, XY[:1], np.array([0.9]), FWHM, rng())
    np.testing.assert_array_equal(shifted.astype(np.int32) + 32768, same)
    floating = raw.astype(np.float32)
    floating[52, 41] = np.nan
    result = scale_stars(floating, XY[:1], np.array([0.9]), FWHM, rng())
    assert result.dtype == np.float32
    assert np.isnan(result).sum() == 1


@pytest.mark.parametrize("place", [(-5.0, 60.0), (60.0, 300.0), (np.nan, 10.0)])
def test_a_star_off_the_frame_changes_nothing(place: tuple[float, float]) -> None:
    raw = frame()
    np.testing.assert_array_equal(scale_stars(raw, np.array([place]), np.array([0.5]), FWHM, rng()), raw)


def test_a_star_without_sky_changes_nothing() -> None:
    raw = frame()[45:60, 34:48]  # the annulus begins 16 pixels from the star
    np.testing.assert_array_equal(scale_stars(raw, XY[:1] - (34, 45), np.array([0.5]), FWHM, rng()), raw)


def test_stars_are_spread_over_magnitudes_and_amplitudes() -> None:
    magnitude = 10 + 6 * np.sqrt(np.random.default_rng(3).random(2000))  # mostly faint
    allowed = np.ones(2000, np.bool_)
    allowed[::2] = False
    choice = choose_stars(magnitude, allowed, [0.01, 0.1], 32, 4, 30, rng())
    assert allowed[choice.star].all()
    assert choice.star.size == 32 == np.unique(choice.star).size
    places = np.sort(np.argsort(np.argsort(magnitude))[choice.star])
    assert np.diff(places).min() >= 30
    for number in range(4):
        those = choice.bin == number
        inside = (magnitude[choice.star] >= choice.edges[number]) & (magnitude[choice.star] <= choice.edges[number + 1])
        assert inside[those].all()
        weak, strong = (int((choice.amplitude[those] == a).sum()) for a in (0.01, 0.1))
        assert abs(weak - strong) <= 1
        # An eighth of the stars, 125, lie in the second bin and fewer in the first: room for few.
        assert those.sum() >= (2, 4, 8, 8)[number]
    again = choose_stars(magnitude, allowed, [0.01, 0.1], 32, 4, 30, rng())
    np.testing.assert_array_equal(again.star, choice.star)


def test_few_stars_are_all_taken_and_none_is_an_error() -> None:
    magnitude = np.array([10.0, 11.0, 12.0, np.nan])
    choice = choose_stars(magnitude, np.ones(4, np.bool_), [0.1], 30, 4, 1, rng())
    assert sorted(choice.star.tolist()) == [0, 1, 2]
    with pytest.raises(UnusableDataError, match="of 0 stars"):
        choose_stars(magnitude, np.zeros(4, np.bool_), [0.1], 30, 4, 1, rng())


def test_signals_lie_in_the_night() -> None:
    night, jd = (100.0, 100.3), np.linspace(100.0, 100.3, 3001)
    for signal in draw_signals(TRANSIT, [0.02] * 20, night, 0.1, 0.2, rng()):
        assert night[0] <= signal.epoch_jd <= night[1]
        assert signal.flux(jd).min() == pytest.approx(0.98, abs=1e-4)
        assert signal.shape(jd).min() == pytest.approx(-1.0, abs=0.005)
        low = jd[signal.flux(jd) < 1]
        assert np.ptp(low) <= 0.1
    for signal in draw_signals(PULSATION, [0.02] * 5, night, 0.1, 0.2, rng()):
        assert np.ptp(signal.flux(jd)) == pytest.approx(0.04, abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "amplitude", "night", "length", "word"),
    [
        ("flare", 0.1, (0.0, 1.0), 0.1, "unknown"),
        (TRANSIT, 1.0, (0.0, 1.0), 0.1, "amplitude 1"),
        (TRANSIT, 0.1, (1.0, 1.0), 0.1, "a night"),
        (PULSATION, 0.1, (0.0, 1.0), 0.0, "a length above 0"),
    ],
)
def test_impossible_signals_are_refused(
    kind: str, amplitude: float, night: tuple[float, float], length: float, word: str
) -> None:
    with pytest.raises(UnusableDataError, match=word):
        draw_signals(kind, [amplitude], night, length, length, rng())


@pytest.mark.parametrize("inflated", [1.0, 2.0])
def test_amplitudes_are_unbiased_and_their_errors_honest(inflated: float) -> None:
    """Noise as quoted, and noise of twice the quoted error, which the scatter of the points tells."""
    jd, generator = np.linspace(0, 0.3, 120), rng()
    signal = Signal(TRANSIT, 0.02, 0.17, 0.1, np.nan)
    error = np.full(120, 0.004)
    found = np.array(
        [
            fit_amplitude(3.0 * (signal.flux(jd) + inflated * generator.normal(0, error)), 3 * error, signal.shape(jd))
            for _ in range(400)
        ]
    )
    pull = (found[:, 0] - 0.02) / found[:, 1]
    assert abs(pull.mean()) < 0.15  # 3 / sqrt(400)
    # The error grows with the points' scatter and never shrinks: a little too large where the noise is as quoted.
    assert 0.85 < pull.std() < 1.08


def test_an_amplitude_needs_points_on_the_signal_and_beside_it() -> None:
    ones, shape = np.ones(6), np.array([0, 0, 0, -1, -1, -1.0])
    assert np.isfinite(fit_amplitude(ones, ones, shape)).all()
    uneven = np.array([0.1, 0.3, 0.7, 1.1, 0.9, 0.2])
    assert np.isnan(fit_amplitude(ones, uneven, np.full(6, -0.3))).all()  # but for roundings, a constant has no spread
    assert np.isnan(fit_amplitude(np.where(shape < 0, np.nan, ones), ones, shape)).all()
    assert np.isnan(fit_amplitude(-ones, ones, shape)).all()
    assert np.isnan(fit_amplitude(ones[:3], ones[:3], shape[2:5])).all()


def test_binomial_intervals_cover_the_truth_as_often_as_they_say() -> None:
    for n, p in ((12, 0.5), (30, 0.9), (8, 0.2)):
        found = np.random.default_rng(5).binomial(n, p, 4000)
        intervals = np.array([binomial_interval(int(k), n) for k in found])
        # 68 % on average over p; whole numbers make it jump by a tenth.
        assert 0.58 < ((intervals[:, 0] <= p) & (p <= intervals[:, 1])).mean() < 0.82
    assert binomial_interval(0, 10) == pytest.approx((0.0, 1 / 11))
    assert binomial_interval(10, 10) == pytest.approx((10 / 11, 1.0))
    assert binomial_interval(0, 0) == (0.0, 1.0)
