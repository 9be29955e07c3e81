"""The best aperture is the one that scatters least in truth, not the luckiest of three."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.aperture.best_aperture import best_apertures, scatters_to_compare
from pipeline.statistics import light_curve_statistics

RADII, HELD = np.array([2.55, 3.6, 5.1]), np.array([0.84, 0.97, 1.0])  # px, and the light within them
SKY_RMS = 15.0  # electrons a pixel
Floats = NDArray[np.float64]


def night(rng: np.random.Generator, stars: int, frames: int) -> tuple[Floats, Floats, Floats]:
    """Electrons [n], relative fluxes [k, n, t] and errors [k, n] in nested circles: larger ones hold the smaller."""
    electrons = np.geomspace(1e6, 3e3, stars)
    rings = np.diff(HELD, prepend=0.0)[:, None] * electrons, np.diff(np.pi * RADII**2, prepend=0.0)
    noise = rng.normal(size=(3, stars, frames)) * np.sqrt(rings[0] + rings[1][:, None] * SKY_RMS**2)[..., None]
    held = HELD[:, None] * electrons
    return (
        electrons,
        1 + noise.cumsum(axis=0) / held[..., None],
        np.sqrt(held + (np.pi * RADII**2 * SKY_RMS**2)[:, None]) / held,
    )


def chosen(flux: Floats, quoted: Floats, electrons: Floats) -> NDArray[np.int64]:
    compared = np.stack([scatters_to_compare(one) for one in flux], axis=2)
    return best_apertures(compared, quoted.T, electrons)


@pytest.mark.parametrize(("stars", "frames"), [(8, 5), (8, 20), (8, 60), (300, 5), (300, 8), (300, 20), (300, 60)])
def test_choosing_makes_no_scatter_too_small(stars: int, frames: int) -> None:
    ratio, lucky, loss = [], [], []
    for seed in range(1200 // stars):
        electrons, flux, quoted = night(np.random.default_rng(seed), stars, frames)
        best = chosen(flux, quoted, electrons)
        error = np.repeat(quoted[..., None], frames, axis=2)
        good = np.ones(frames, dtype=bool)
        over = np.stack([light_curve_statistics(*one, good).scatter for one in zip(flux, error, strict=True)]) / quoted
        ratio.append(np.median(over[best, np.arange(stars)]))
        lucky.append(np.median((over * quoted).min(axis=0) / quoted.min(axis=0)))
        loss.append(np.mean(quoted[best, np.arange(stars)] / quoted.min(axis=0)))
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.05)
    assert np.mean(lucky) < 0.96
    assert np.mean(loss) < 1.02  # the quoted noise of what was chosen, over the least


def test_a_star_that_its_neighbour_spoils_in_large_circles_gets_a_small_one() -> None:
    rng = np.random.default_rng(1)
    electrons, flux, quoted = night(rng, 200, 100)
    usual = chosen(flux, quoted, electrons)
    assert usual[20] == 2
    flux[1, 20] += rng.normal(0.0, 6 * quoted[1, 20], 100)
    flux[2, 20] += rng.normal(0.0, 20 * quoted[2, 20], 100)
    assert chosen(flux, quoted, electrons)[20] == 0


def test_what_a_whole_field_shows_counts_on_a_short_night() -> None:
    """Small circles of bright stars scatter thrice what is quoted: pixel phase. Ten frames tell it from all of them."""
    rng = np.random.default_rng(2)
    electrons, flux, quoted = night(rng, 100, 10)
    quoted[0] = 0.9 * quoted.min(axis=0)
    flux[0] = 1 + 3 * quoted[0][:, None] * rng.normal(size=(100, 10))
    assert np.count_nonzero(chosen(flux, quoted, electrons) == 0) <= 2


def test_without_scatters_the_quoted_errors_choose_and_without_both_the_others() -> None:
    quoted = np.array([[3.0, 1.0, 2.0], [np.nan, 5.0, 4.0], [2.0, 1.0, np.nan], [np.nan] * 3])
    nothing = np.full((3, 4, 3), np.nan)
    np.testing.assert_array_equal(best_apertures(nothing, quoted, np.ones(4)), [1, 2, 1, 1])
    np.testing.assert_array_equal(best_apertures(nothing[:, :2], np.full((2, 3), np.nan), np.ones(2)), [0, 0])
