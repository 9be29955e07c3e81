"""What stands alone above a light curve is told from what a star does."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flags import Flag
from pipeline.relative import hits_may_hide, spikes
from tests.unit.made_curves import curves

ERROR = 0.003
FRAMES = 60


def curve(rng: np.random.Generator, shape: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
    return np.asarray(1 + shape + rng.normal(0, ERROR, (1, FRAMES)))


def heights(flux: NDArray[np.float64], usable: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    flag = np.zeros(flux.shape, np.int32) if usable is None else np.where(usable, 0, int(Flag.TRAIL)).astype(np.int32)
    return np.asarray(spikes(curves(flux, np.full(flux.shape, ERROR), flag=flag)))


@pytest.mark.parametrize("at", [0, 1, 30, FRAMES - 1])
def test_a_hit_is_found_and_nothing_else(rng: np.random.Generator, at: int) -> None:
    flux = curve(rng)
    flux[0, at] += 0.04
    height = heights(flux)
    assert height[0, at] == pytest.approx(0.04, abs=4 * ERROR)
    assert np.count_nonzero(height) == 1


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(-0.02 * (np.abs(np.arange(FRAMES) - 30) < 8), id="transit"),
        pytest.param(-0.3 * (np.arange(FRAMES) == 30), id="one faint point"),
        pytest.param(0.1 * np.exp(-(np.arange(FRAMES) - 30) / 3.0) * (np.arange(FRAMES) >= 30), id="flare"),
        pytest.param(0.05 * np.sin(np.arange(FRAMES) * 2 * np.pi / 2.6), id="faster than the frames"),
        pytest.param(0.2 * np.linspace(-1, 1, FRAMES) ** 3, id="trend"),
    ],
)
def test_what_a_star_does_is_left_alone(rng: np.random.Generator, shape: NDArray[np.float64]) -> None:
    assert not heights(curve(rng, shape)).any()


def test_noise_alone_is_seldom_taken_for_a_hit(rng: np.random.Generator) -> None:
    flux = 1 + rng.normal(0, ERROR, (2000, FRAMES))
    assert np.count_nonzero(heights(flux)) / flux.size < 0.001


def test_what_is_not_usable_tells_nothing_and_is_not_judged(rng: np.random.Generator) -> None:
    flux = curve(rng)
    flux[0, [10, 30]] += 0.2
    flux[0, 31] = np.nan
    usable = np.isfinite(flux)
    usable[0, 10] = False
    height = heights(flux, usable)
    assert np.flatnonzero(height[0]).tolist() == [30]
    assert not heights(flux[:, :3]).any()


def test_hits_hide_in_narrow_stars_and_in_rings() -> None:
    assert [hits_may_hide(fwhm) for fwhm in (1.8, 3.0, 12.0, float("nan"))] == [True, False, True, False]
