"""Errors that lack photon noise or a floor are brought to what like stars scatter."""

import numpy as np
import pytest

from pipeline.relative import achieved_factors
from tests.unit.made_curves import curves

EPOCHS, GAIN, SKY_NOISE, FLOOR = 150, 1.5, 20.0, 0.002


def night(rng: np.random.Generator, stars: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Relative fluxes, errors of the sky alone, brightness in ADU, and the true relative noise."""
    brightness = 10 ** rng.uniform(3, 5.5, stars)
    sky = SKY_NOISE / brightness
    true = np.sqrt(sky**2 + 1 / (GAIN * brightness) + FLOOR**2)
    relative = 1 + true[:, None] * rng.normal(size=(stars, EPOCHS))
    return relative, np.repeat(sky[:, None], EPOCHS, axis=1), brightness, true


@pytest.mark.parametrize(("stars", "off"), [(8, 0.25), (30, 0.2), (300, 0.1)])
def test_errors_without_a_gain_become_those_of_like_stars(rng: np.random.Generator, stars: int, off: float) -> None:
    relative, error, brightness, true = night(rng, stars)
    assert np.median(error[:, 0] / true) < 0.75
    factors = achieved_factors(curves(relative, error), brightness)
    assert factors is not None
    assert np.median(np.abs(factors * error[:, 0] / true - 1)) < off
    assert np.max(np.abs(factors * error[:, 0] / true - 1)) < 2 * off


def test_a_star_that_varies_has_the_errors_of_the_constant_ones(rng: np.random.Generator) -> None:
    relative, error, brightness, true = night(rng, 40)
    relative[3] += 0.1 * np.sin(np.arange(EPOCHS) / 5)
    factors = achieved_factors(curves(relative, error), brightness)
    assert factors is not None
    assert factors[3] * error[3, 0] == pytest.approx(true[3], rel=0.3)


def test_errors_that_are_right_or_too_large_stay(rng: np.random.Generator) -> None:
    relative, error, brightness, true = night(rng, 60)
    error[:] = 1.3 * true[:, None]
    factors = achieved_factors(curves(relative, error), brightness)
    assert factors is not None
    np.testing.assert_array_equal(factors, 1.0)


def test_two_stars_tell_nothing(rng: np.random.Generator) -> None:
    relative, error, brightness, _ = night(rng, 2)
    assert achieved_factors(curves(relative, error), brightness) is None
