"""Injected periods come back, with errors that mean what they say, in one night and over many."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.variability import fit_period, frequency_grid, lomb_scargle, search_periods
from pipeline.variability.many_nights import night_periodogram

Floats = NDArray[np.float64]

START = 2459000.3
LENGTH = 0.25


def one_night(
    rng: np.random.Generator, cycles: float, points: int, noise: float
) -> tuple[Floats, Floats, Floats, float]:
    """A sine of 3 %: time, flux, error and its period."""
    time = START + np.linspace(0.0, LENGTH, points)
    period = LENGTH / (cycles * rng.uniform(0.95, 1.05))
    flux = 1.0 + 0.03 * np.sin(2 * np.pi * ((time - START) / period + rng.uniform())) + noise * rng.normal(size=points)
    return time, flux, np.full(points, noise), period


def nights(
    rng: np.random.Generator, period: float, days: tuple[int, ...], overtone: float = 0.0
) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """A wave of 0.02 mag in noise of 0.006 mag, each night at a level of its own; 80 points a night."""
    time = np.concatenate([START + day + np.linspace(0.0, LENGTH, 80) for day in days])
    night = np.repeat(np.arange(len(days)), 80)
    angle = 2 * np.pi * ((time - START) / period + rng.uniform())
    value = 0.02 * (np.sin(angle) + overtone * np.sin(2 * angle + 1.0))
    value += 0.3 * rng.normal(size=len(days))[night] + 0.006 * rng.normal(size=time.size)
    return time, value, np.full(time.size, 0.006), night


@pytest.mark.parametrize(("cycles", "points", "noise"), [(2.0, 120, 0.01), (3.3, 120, 0.002), (6.0, 300, 0.006)])
def test_a_period_is_as_good_as_its_error_says(cycles: float, points: int, noise: float) -> None:
    """Of 60 nights: pulls of width 1, good to a quarter (2.7 standard deviations of that of 60); the grid's are not."""
    rng = np.random.default_rng(21)
    pulls, grid = [], frequency_grid(START + np.linspace(0.0, LENGTH, points))
    for _ in range(60):
        time, flux, error, period = one_night(rng, cycles, points, noise)
        found = lomb_scargle(time, flux, error, grid)
        pulls.append((found.period - period) / found.period_error)
        assert found.period == pytest.approx(period, rel=0.05)
        assert found.amplitude == pytest.approx(0.03, rel=4 * np.sqrt(2 / points) * noise / 0.03 + 0.01)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.25)
    assert abs(np.mean(pulls)) < 0.4


def test_red_noise_widens_the_error() -> None:
    """Noise of which ten neighbours are alike: the pulls of white errors would be three wide."""
    rng = np.random.default_rng(22)
    pulls = []
    for _ in range(60):
        time, flux, error, period = one_night(rng, 3.0, 200, 0.004)
        slow = np.convolve(rng.normal(size=209), np.ones(10) / np.sqrt(10.0), "valid")
        found = fit_period(time, flux + 0.004 * slow, error, 1.0 / period)
        pulls.append((found.period - period) / found.period_error)
    assert 0.6 < np.std(pulls) < 1.4


def test_harmonics_are_taken_where_they_pay() -> None:
    rng = np.random.default_rng(23)
    time, flux, error, period = one_night(rng, 3.0, 200, 0.004)
    assert fit_period(time, flux, error, 1.0 / period).harmonics == 1
    phase = (time - START) / period % 1.0
    saw = 1.0 + 0.2 * np.minimum(phase / 0.8, (1.0 - phase) / 0.2) + 0.004 * rng.normal(size=200)
    found = fit_period(time, saw, error, 1.0 / period)
    assert found.harmonics >= 3
    assert found.period == pytest.approx(period, abs=5 * found.period_error)
    assert found.amplitude == pytest.approx(0.1, rel=0.1)
    # The highest point is where the rise ends.
    assert (found.epoch - START) / period % 1.0 == pytest.approx(0.8, abs=0.05)


def test_the_periodogram_of_nights_is_that_of_a_fit_with_a_level_of_each() -> None:
    """By least squares of cos, sin and three levels at each frequency; interpolation leaves half a per cent."""
    time, value, error, night = nights(np.random.default_rng(24), 0.07, (0, 1, 3))
    frequencies = np.linspace(5.0, 150.0, 300)
    found = night_periodogram(time - time[0], value, error, night, frequencies)
    levels = np.eye(3)[night]
    constant = np.linalg.lstsq(levels, value, rcond=None)[1][0]
    expected = []
    for frequency in frequencies:
        angle = 2 * np.pi * frequency * (time - time[0])
        design = np.column_stack([levels, np.cos(angle), np.sin(angle)])
        expected.append(1.0 - np.linalg.lstsq(design, value, rcond=None)[1][0] / constant)
    np.testing.assert_allclose(found, expected, atol=0.005)


@pytest.mark.parametrize(("days", "overtone"), [((0, 1, 2), 0.0), ((0, 3, 40), 0.4)])
def test_nights_of_different_levels_give_one_period(days: tuple[int, ...], overtone: float) -> None:
    """The truth is among the alternatives each time, and mostly the first; its pull is that of a Gaussian."""
    rng = np.random.default_rng(25)
    pulls = []
    for _ in range(6):
        period = rng.uniform(0.05, 0.2)
        found = search_periods(*nights(rng, period, days, overtone))
        assert found.false_alarm < 1e-20
        offsets = [abs(one.fit.period - period) / one.fit.period_error for one in found.alternatives]
        assert min(offsets) < 4.0
        odds = [one.relative_evidence for one in found.alternatives]
        assert odds[int(np.argmin(offsets))] > 0.001
        pulls.append((found.best.period - period) / found.best.period_error)
    assert np.sum(np.abs(pulls) < 4.0) >= 5
    assert found.alternatives[0].relative_evidence == 1.0


def test_day_aliases_are_named() -> None:
    found = search_periods(*nights(np.random.default_rng(26), 0.11, (0, 1, 2, 3)))
    relations = [one.relation for one in found.alternatives]
    assert relations[0] == ""
    assert "+1 cycle a day" in relations
    assert "−1 cycle a day" in relations
    assert "twice the period" in relations


def test_levels_of_nights_are_no_period() -> None:
    rng = np.random.default_rng(27)
    chances = []
    for _ in range(8):
        time, _, error, night = nights(rng, 1.0, (0, 1, 2))
        chances.append(search_periods(time, night % 3 + error * rng.normal(size=time.size), error, night).false_alarm)
    assert min(chances) > 1e-3
    assert np.median(chances) > 0.1


def test_too_little_for_a_period() -> None:
    time = START + np.arange(30.0)
    with pytest.raises(UnusableDataError, match="single point"):
        search_periods(time, np.ones(30), np.ones(30), np.arange(30))
    with pytest.raises(UnusableDataError, match="10 points"):
        search_periods(time[:10], np.ones(10), np.ones(10), np.zeros(10, dtype=np.int64))
    with pytest.raises(UnusableDataError, match="too few for a period"):
        fit_period(time[:7], np.ones(7), np.ones(7), 0.3)
