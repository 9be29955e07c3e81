"""The level of frames of floats is that at which bright stars are cut off, and none where no star is."""

import numpy as np
import pytest

from pipeline.detector.flat_tops import flat_topped_level

SHAPE = (400, 400)


def field(
    rng: np.random.Generator, peaks: np.ndarray, fwhm: float = 4.0, ring: float = 0.0, full: float | None = None
) -> np.ndarray:
    """Sky of 300, noise 5, stars of these peaks, cut off, then divided by a flat that falls by 6 % to the corners."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.full(SHAPE, 300.0)
    for peak, (px, py) in zip(peaks, rng.uniform(30, 370, (len(peaks), 2)), strict=True):
        r = np.hypot(x - px, y - py)
        star = np.exp(-4 * np.log(2) * ((r - ring) / fwhm) ** 2)
        image += peak * star
    image = np.minimum(image + rng.normal(0, 5, SHAPE), np.inf if full is None else full)
    flat = 1.0 - 0.06 * ((x - 200) ** 2 + (y - 200) ** 2) / (2 * 200**2)
    image[rng.integers(0, 400, 30), rng.integers(0, 400, 30)] += 1e5  # cosmic rays
    return (image / flat).astype(np.float32)


@pytest.mark.parametrize("fwhm", [2.5, 4.0, 8.0])
def test_stars_that_are_cut_off_tell_the_level(rng: np.random.Generator, fwhm: float) -> None:
    found = flat_topped_level(field(rng, np.geomspace(2e3, 2e6, 25), fwhm, full=50_000.0))
    assert found is not None
    assert 45_000 < found <= 50_500  # below every plateau, and near


@pytest.mark.parametrize(("fwhm", "ring"), [(2.5, 0.0), (6.0, 0.0), (15.0, 0.0), (5.0, 12.0)])
def test_whole_stars_tell_none(rng: np.random.Generator, fwhm: float, ring: float) -> None:
    """Wide ones and rings of stars out of focus neither."""
    for seed in range(5):
        peaks = np.random.default_rng(seed).pareto(1.0, 40) * 1e3 + 500
        assert flat_topped_level(field(rng, peaks, fwhm, ring)) is None


def test_nothing_known_is_no_level() -> None:
    assert flat_topped_level(np.full((20, 20), np.nan)) is None
    assert flat_topped_level(np.zeros((20, 20))) is None
