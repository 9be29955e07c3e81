"""Simulated nights of constant stars, red noise that they share, and a few variables: who leads the list."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.variability import (
    Suspicion,
    neighbour_correlation,
    rank_candidates,
    search_variables,
    shortlist,
    suspicions,
)
from tests.unit.made_curves import curves

Floats = NDArray[np.float64]

STARS, FRAMES, LENGTH = 1500, 300, 0.3
TIME = 2459000.0 + np.linspace(0, LENGTH, FRAMES)
PHASE = TIME - TIME[0]
PULSATORS = [1 + 0.03 * np.sin(2 * np.pi * PHASE / period) for period in (0.05, 0.08, 0.12, 0.2)]
ECLIPSES = [1 - 0.2 * np.exp(-0.5 * ((PHASE - mid) / 0.02) ** 2) for mid in (0.1, 0.2)]
TRANSITS = [1 - 0.015 * np.clip((0.055 - np.abs(PHASE - mid)) / 0.015, 0, 1) for mid in (0.12, 0.16)]
FLARES = [1 + 0.3 * np.where(start < PHASE, np.exp(-np.maximum(PHASE - start, 0) / 0.015), 0) for start in (0.05, 0.2)]
VARIABLES = PULSATORS + ECLIPSES + TRANSITS + FLARES
PLACES = (120, 180, 240, 300, 200, 400, 20, 40, 260, 420)  # in the list by magnitude; the transits on bright stars


def night(seed: int, red: float) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Flux, error, magnitude, and the variables' numbers; red noise of up to some ``red`` in four shapes."""
    rng = np.random.default_rng(seed)
    magnitude = 10 + np.log10(1 + rng.uniform(size=STARS) * (10 ** (0.3 * 6) - 1)) / 0.3
    error = np.hypot(0.002, 0.001 * 10 ** (0.4 * (magnitude - 11)))
    kernel = np.exp(-0.5 * (np.arange(-40, 41) / 12) ** 2)
    shapes = np.array([np.convolve(row, kernel, "valid") for row in rng.normal(size=(4, FRAMES + 80))])
    shapes /= shapes.std(axis=1, keepdims=True)
    flux = 1 + error[:, None] * rng.normal(size=(STARS, FRAMES)) + 0.5 * red * rng.normal(size=(STARS, 4)) @ shapes
    flux[rng.random(flux.shape) < 0.0005] *= 1.5  # cosmic rays
    flux[rng.random(flux.shape) < 0.02] = np.nan
    variables = np.argsort(magnitude)[list(PLACES)]
    flux[variables] *= VARIABLES
    return flux, np.repeat(error[:, None], FRAMES, axis=1), magnitude, variables


@pytest.mark.parametrize("red", [0.0, 0.001])
@pytest.mark.parametrize("seed", [1, 2])
def test_variables_lead_and_constant_stars_are_not_significant(seed: int, red: float) -> None:
    flux, error, magnitude, variables = night(seed, red)
    found = search_variables(curves(flux, error, time=TIME), magnitude)
    assert set(found.ranking.order[: len(PLACES)]) == set(variables)
    assert set(np.flatnonzero(found.ranking.significant)) == set(variables)
    assert found.ranking.q_value[variables].max() < 0.01
    leaders = shortlist(found.ranking, limit=60)
    assert set(variables) <= set(leaders)
    assert leaders.size <= 60


def test_strong_red_noise_calls_no_constant_star_variable() -> None:
    for seed in range(4):
        flux, error, magnitude, variables = night(seed, 0.004)
        found = search_variables(curves(flux, error, time=TIME), magnitude)
        assert set(np.flatnonzero(found.ranking.significant)) <= set(variables)
        # What is much stronger than the red noise is still found.
        assert found.ranking.significant[variables[[4, 5, 8, 9]]].all()


def test_a_star_that_follows_the_frames_or_a_neighbour_ranks_below_the_others() -> None:
    flux, error, magnitude, variables = night(3, 0.0)
    rng = np.random.default_rng(4)
    fwhm = 3 + np.convolve(rng.normal(size=FRAMES + 19), np.ones(20) / 20, "valid")
    xy = rng.uniform(0, 4000, (STARS, 2))
    order = np.argsort(magnitude)
    follower, victim = order[500], order[600]
    flux[follower] *= 1 + 0.08 * (fwhm - fwhm.mean()) / fwhm.std()
    flux[victim] *= 1 + 1.5 * (ECLIPSES[0] - 1)
    xy[victim] = xy[variables[4]] + 4
    doubt = suspicions(neighbour_correlation=neighbour_correlation(curves(flux, error, xy=xy), 10.0))
    covariates = np.stack([fwhm, np.full(FRAMES, 7.0)])
    found = search_variables(curves(flux, error, time=TIME), magnitude, doubt, covariates=covariates)
    assert found.ranking.suspicion[follower] == Suspicion.FRAMES
    assert doubt[victim] == Suspicion.NEIGHBOUR
    assert not found.ranking.significant[[follower, victim]].any()
    places = np.argsort(found.ranking.order)
    clean = variables[doubt[variables] == 0]
    assert clean.size >= 8
    assert places[[follower, victim]].min() > places[clean].max()
    assert places[[follower, victim]].max() < 20


def test_scatter_without_shape_is_suspected() -> None:
    """A star of twice its noise: nothing says when it was brighter."""
    flux, error, magnitude, variables = night(7, 0.0)
    noisy = np.argsort(magnitude)[700]
    flux[noisy] += error[noisy] * np.random.default_rng(8).normal(size=FRAMES) * np.sqrt(3)
    found = search_variables(curves(flux, error, time=TIME), magnitude)
    assert found.significance[2, noisy] > 10
    assert found.ranking.suspicion[noisy] == Suspicion.SHAPELESS
    assert set(np.flatnonzero(found.ranking.significant)) == set(variables)
    assert np.argsort(found.ranking.order)[noisy] == len(variables)


def test_only_the_fainter_of_two_neighbours_follows() -> None:
    rng = np.random.default_rng(6)
    wave = np.sin(np.arange(200) / 15)
    flux = 1 + 0.1 * wave * np.array([[1.0], [1.0], [1.0]]) + 0.01 * rng.normal(size=(3, 200))
    error = np.full((3, 200), 0.01) * np.array([[1.0], [2.0], [2.0]])
    xy = np.array([[10.0, 10.0], [14.0, 10.0], [500.0, 10.0]])
    found = neighbour_correlation(curves(flux, error, xy=xy), 8.0)
    np.testing.assert_array_equal(found[[0, 2]], 0.0)
    assert found[1] > 0.95


def test_ranking_by_hand() -> None:
    chances = {
        "a": np.log([1e-9, 0.5, 1e-4, np.nan, 1e-8, np.nan]),
        "b": np.log([0.3, 0.4, 1e-3, 0.2, np.nan, np.nan]),
    }
    doubt = np.array([Suspicion.EDGE, 0, 0, 0, 0, 0], dtype=np.int64)
    found = rank_candidates(chances, doubt)
    assert found.order.tolist() == [4, 2, 0, 3, 1, 5]
    assert found.test.tolist() == [0, 1, 0, 1, 0, -1]
    # The smallest of two tests, times two; the family is of five tested stars.
    np.testing.assert_allclose(np.exp(found.log_chance[:5]), [2e-9, 0.8, 2e-4, 0.4, 2e-8])
    np.testing.assert_allclose(found.family_wise[:5], [1e-8, 1.0, 1e-3, 1.0, 1e-7])
    assert found.significant.tolist() == [False, False, True, False, True, False]
    np.testing.assert_allclose(found.q_value[:5], [1e-8, 0.8, 2e-4 * 5 / 3, 0.5, 5e-8])
    assert np.isnan(found.log_chance[5])
    assert np.isnan(found.q_value[5])
    assert shortlist(found).tolist() == [4, 2, 0]


def test_chances_too_small_for_floats_still_rank() -> None:
    found = rank_candidates({"a": np.array([-2000.0, -3000.0, -np.inf, -1.0])})
    assert found.order.tolist() == [2, 1, 0, 3]


def test_every_suspicion_has_its_limit() -> None:
    assert suspicions(
        neighbour_correlation=np.array([0.9, 0.1, np.nan]),
        near_edge=np.array([True, False, False]),
        covered_share=np.array([0.1, 0.9, np.nan]),
    ).tolist() == [28, 0, 0]
    with pytest.raises(UnusableDataError, match="no reason"):
        suspicions()


def test_tests_of_different_stars_are_refused() -> None:
    with pytest.raises(UnusableDataError, match="one number of stars"):
        rank_candidates({"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(UnusableDataError, match="one number of stars"):
        rank_candidates({})
