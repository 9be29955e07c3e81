import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.variability import (
    field_maxima,
    frequency_grid,
    lomb_scargle,
    noise_spectrum,
    repeated_box,
    white_maxima,
)
from tests.unit.made_curves import curves

START, LENGTH, POINTS, NOISE = 2459000.0, 0.3, 150, 0.01
TIME = START + np.linspace(0, LENGTH, POINTS)
ERROR = np.full(POINTS, NOISE)


def red_nights(rng: np.random.Generator, nights: int, share: float) -> np.ndarray:
    """White noise, and beside it noise with a memory of some ten points."""
    kernel = np.exp(-0.5 * (np.arange(-20, 21) / 5) ** 2)
    slow = np.array([np.convolve(row, kernel, "valid") for row in rng.normal(size=(nights, POINTS + 40))])
    slow /= np.sqrt(np.sum(kernel**2))
    return 1 + NOISE * (rng.normal(size=(nights, POINTS)) + share * slow)


def test_the_grid_fits_the_night() -> None:
    grid = frequency_grid(TIME)
    assert grid[0] == pytest.approx(1 / LENGTH)
    assert grid[-1] == pytest.approx(0.5 * (POINTS - 1) / LENGTH, rel=0.01)
    np.testing.assert_allclose(np.diff(grid), 1 / (8 * LENGTH), rtol=1e-6)


def test_a_sine_has_its_period_and_amplitude() -> None:
    rng = np.random.default_rng(1)
    flux = 1 + 0.03 * np.sin(2 * np.pi * (TIME - START) / 0.047 + 1) + NOISE * rng.normal(size=POINTS)
    flux[5] = np.nan
    found = lomb_scargle(TIME, flux, ERROR, frequency_grid(TIME))
    assert found.period == pytest.approx(0.047, rel=0.02)
    assert found.amplitude == pytest.approx(0.03, rel=0.12)
    assert found.false_alarm < 1e-20
    assert found.power > 0.7


def test_one_percent_of_constant_stars_have_a_chance_of_one_percent() -> None:
    rng = np.random.default_rng(2)
    time = START + np.sort(rng.uniform(0, LENGTH, POINTS))
    grid = frequency_grid(time)
    chances = np.array(
        [lomb_scargle(time, 1 + NOISE * rng.normal(size=POINTS), ERROR, grid).false_alarm for _ in range(1000)]
    )
    # 10 and 100 expected; three standard deviations of the counts.
    assert 1 <= np.sum(chances < 0.01) <= 19
    assert 70 <= np.sum(chances < 0.1) <= 130


def test_red_noise_of_the_field_is_no_period() -> None:
    rng = np.random.default_rng(3)
    grid = frequency_grid(TIME)
    noise = noise_spectrum(curves(red_nights(rng, 60, 0.5), np.tile(ERROR, (60, 1)), time=TIME), grid)
    nights = red_nights(rng, 300, 0.5)
    naive = np.array([lomb_scargle(TIME, flux, ERROR, grid).false_alarm for flux in nights])
    honest = np.array([lomb_scargle(TIME, flux, ERROR, grid, noise=noise).false_alarm for flux in nights])
    assert np.mean(naive < 0.01) > 0.1
    assert np.mean(honest < 0.01) <= 0.02
    assert noise.min() == 1.0
    wave = nights[0] + 0.03 * np.sin(2 * np.pi * (TIME - START) / 0.02)
    assert lomb_scargle(TIME, wave, ERROR, grid, noise=noise).false_alarm < 1e-6


def test_white_noise_has_a_flat_spectrum() -> None:
    rng = np.random.default_rng(4)
    flux = 1 + NOISE * rng.normal(size=(200, POINTS))
    flux[0] = np.nan
    noise = noise_spectrum(curves(flux, np.tile(ERROR, (200, 1)), time=TIME), frequency_grid(TIME))
    # A median of 199 exponential variates is good to 10 %.
    assert np.percentile(noise, 99) < 1.3


@pytest.mark.parametrize(("period", "expected"), [(0.1, 0.1), (9.0, None)])
def test_dips_that_repeat_and_a_single_one(period: float, expected: float | None) -> None:
    rng = np.random.default_rng(5)
    phase = (TIME - START - 0.05 + 0.5 * period) % period - 0.5 * period
    error = NOISE * rng.uniform(0.7, 1.3, POINTS)
    flux = 500 * (1 - 0.04 * (np.abs(phase) < 0.009) + error * rng.normal(size=POINTS))
    # Errors are taken three times too small: the residuals know better.
    found = repeated_box(TIME, flux, 500 / 3 * error, white_maxima(TIME, seed=1, nights=100))
    points = np.count_nonzero(np.abs(phase) < 0.009)
    # The grid's box is not quite the true one: some of the dips stays in the residuals, as red noise.
    assert 0.5 < found.snr / (4 * np.sqrt(points)) < 1.2
    assert found.depth == pytest.approx(0.04, abs=0.008)
    assert abs((found.epoch - START - 0.05 + 0.5 * period) % period - 0.5 * period) < 0.005
    assert found.false_alarm < 1e-3
    if expected is not None:
        assert found.period == pytest.approx(expected, rel=0.03)


def test_chances_of_boxes() -> None:
    """Within a factor of two or so of what they say, on white noise and on red noise that the field shares."""
    rng = np.random.default_rng(6)
    errors = np.tile(ERROR, (150, 1))
    white = white_maxima(TIME, seed=2, nights=150)
    chances = np.array([repeated_box(TIME, flux, 2 * ERROR, white).false_alarm for flux in red_nights(rng, 300, 0.0)])
    assert 0.03 < np.mean(chances < 0.1) < 0.2
    assert np.mean(chances < 0.01) < 0.03
    field = field_maxima(curves(red_nights(rng, 150, 0.5), errors, time=TIME))
    chances = np.array([repeated_box(TIME, flux, ERROR, field).false_alarm for flux in red_nights(rng, 300, 0.5)])
    assert 0.03 < np.mean(chances < 0.1) < 0.2
    assert np.mean(chances < 0.01) < 0.03


def test_without_maxima_nothing_is_said_of_chance() -> None:
    flux = 1 + NOISE * np.random.default_rng(7).normal(size=POINTS)
    assert np.isnan(repeated_box(TIME, flux, ERROR).false_alarm)


def test_too_few_points() -> None:
    with pytest.raises(UnusableDataError, match="10 times"):
        frequency_grid(TIME[:10])
    with pytest.raises(UnusableDataError, match="10 usable points"):
        lomb_scargle(TIME[:10], TIME[:10], ERROR[:10], frequency_grid(TIME))
    with pytest.raises(UnusableDataError, match="20 usable points"):
        repeated_box(TIME[:20], np.ones(20), ERROR[:20])
    with pytest.raises(UnusableDataError, match="none of 2 stars"):
        field_maxima(curves(np.full((2, POINTS), np.nan), np.ones((2, POINTS)), time=TIME))
