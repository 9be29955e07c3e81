"""Many strong variables among the brightest stars, as in a field that was chosen for them: none hides another."""

import numpy as np

from pipeline.variability import against_like_stars, search_variables
from pipeline.variability.like_stars import class_apart
from tests.unit.made_curves import curves

STARS, FRAMES = 400, 80
TIME = 2459000.0 + np.linspace(0.0, 0.1, FRAMES)


def test_strong_variables_do_not_hide_the_weaker_ones() -> None:
    """Of the 60 brightest stars ten vary, by 2 to 200 errors: more than any percentile of a hundred can stand."""
    rng = np.random.default_rng(11)
    magnitude = np.sort(rng.uniform(10.0, 16.0, STARS))
    error = np.repeat(0.001 * 10 ** (0.2 * (magnitude - 10.0))[:, None], FRAMES, axis=1)
    flux = 1.0 + error * rng.normal(size=error.shape)
    variables = np.arange(3, 60, 6)
    wave = np.sin(2.0 * np.pi * (TIME - TIME[0]) / 0.03)
    flux[variables] += error[variables] * np.geomspace(200.0, 2.0, variables.size)[:, None] * wave
    found = search_variables(curves(flux, error, time=TIME), magnitude)
    assert set(np.flatnonzero(found.ranking.significant)) == set(variables)
    # The strongest lead: each is judged by the constant stars, not by the others that vary.
    assert found.ranking.order[:5].tolist() == variables[:5].tolist()


def test_stars_left_out_of_the_comparison_are_judged_by_the_rest() -> None:
    rng = np.random.default_rng(12)
    magnitude = rng.uniform(10.0, 16.0, STARS)
    value = 0.5 * (magnitude - 13.0) + rng.normal(size=STARS)
    odd = rng.random(STARS) < 0.2
    value[odd] += 1000.0
    found = against_like_stars(value, magnitude, least_spread=1.0, usual=~odd)
    assert abs(np.median(found[~odd])) < 0.1
    assert found[odd].min() > 500.0
    everyone = against_like_stars(value, magnitude, least_spread=1.0)
    assert everyone[odd].max() < 10.0


def test_a_tenth_of_the_like_stars_may_vary_alike() -> None:
    """They are themselves the upper percentiles of their neighbours, and yet each of them stands out."""
    rng = np.random.default_rng(13)
    magnitude = np.sort(rng.uniform(10.0, 16.0, STARS))
    error = np.repeat(0.001 * 10 ** (0.2 * (magnitude - 10.0))[:, None], FRAMES, axis=1)
    flux = 1.0 + error * rng.normal(size=error.shape)
    variables = np.arange(2, 100, 8)
    waves = np.sin(2.0 * np.pi * ((TIME - TIME[0]) / 0.03 + rng.random((variables.size, 1))))
    flux[variables] += 12.0 * error[variables] * waves
    found = search_variables(curves(flux, error, time=TIME), magnitude)
    assert set(np.flatnonzero(found.ranking.significant)) == set(variables)


def test_a_tail_without_a_gap_sets_nobody_apart() -> None:
    rng = np.random.default_rng(14)
    magnitude = rng.uniform(10.0, 16.0, 2000)
    tail = np.exp(rng.normal(0.0, 1.2, 2000))  # red noise: skew, to a hundred times its median
    assert class_apart(tail, magnitude, least_spread=1.0).mean() < 0.01
    with_class = rng.normal(size=2000)
    with_class[::25] += 30.0
    assert np.array_equal(np.flatnonzero(class_apart(with_class, magnitude, least_spread=1.0)), np.arange(0, 2000, 25))
