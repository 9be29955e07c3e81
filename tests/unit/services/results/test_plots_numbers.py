"""The numbers behind the plots: running medians, correlations, star profiles, places of names."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.flags import SPOILING, Flag
from pipeline.sky.astrometry.sphere import separation_arcsec
from services.results.plots.compass import sky_axes
from services.results.plots.flag_marks import MARKS, marked, of_the_star
from services.results.plots.labels import place_labels
from services.results.plots.magnitudes import running
from services.results.plots.star_profile import isolated, star_profile
from services.results.plots.systematics_plot import rank_correlation
from tests.unit.services.made_wcs import made_wcs

SIGMA = 1.6


def field(xy: NDArray[np.float64], flux: NDArray[np.float64], side: int = 120, sky: float = 7.0) -> NDArray[np.float64]:
    """Gaussian stars at any places of a pixel, on a level sky."""
    y, x = np.mgrid[:side, :side]
    image = np.full((side, side), sky)
    for (cx, cy), f in zip(xy, flux, strict=True):
        image += f / (2 * np.pi * SIGMA**2) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * SIGMA**2))
    return image


def test_running_median_follows_and_ignores_the_unknown() -> None:
    magnitude = np.linspace(18.0, 10.0, 400)
    values = 2.0 * magnitude
    values[::7] = np.nan
    values[3] = 1e6
    at, median = running(magnitude, values)
    # Within a window of half a magnitude median and mean of a straight line agree; its ends are cut.
    np.testing.assert_allclose(median, 2.0 * at, atol=0.02)
    assert at.min() < 10.3
    assert at.max() > 17.7
    assert np.all(running(magnitude, values, 84.0)[1] > median)


@pytest.mark.parametrize("stars", [0, 1, 3])
def test_running_median_of_few_stars(stars: int) -> None:
    at, median = running(np.arange(stars, dtype=float), np.ones(stars))
    assert at.size == median.size
    assert at.size >= min(stars, 1)
    np.testing.assert_array_equal(median, 1.0)
    assert running(np.arange(5.0), np.full(5, np.nan))[0].size == 0


def test_rank_correlation_with_equal_values_and_gaps() -> None:
    first = np.array([1.0, 2.0, 2.0, 3.0, 5.0, np.nan, 4.0])
    second = np.array([1.0, 3.0, 2.0, 5.0, 100.0, 7.0, np.nan])
    # Ranks 1, 2.5, 2.5, 4, 5 against 1, 3, 2, 4, 5.
    coefficient, count = rank_correlation(first, second)
    assert count == 5
    assert coefficient == pytest.approx(9.5 / np.sqrt(9.5 * 10.0))
    assert np.isnan(rank_correlation(first, np.ones(7))[0])
    assert np.isnan(rank_correlation(first[:4], second[:4])[0])


def test_a_point_shows_its_worst_flag_once() -> None:
    flag = np.array([0, Flag.EDGE | Flag.SATURATED, Flag.TRAIL, Flag.BLENDED | Flag.CROWDED], dtype=np.int64)
    assert sum(MARKS) == SPOILING & ~(Flag.BAD_FRAME | Flag.MISSING)  # the frame's, and where nothing is drawn
    assert {mark.name: chosen.tolist() for mark, chosen in marked(flag)} == {
        "saturated": [False, True, False, False],
        "trail": [False, False, True, False],
    }
    assert of_the_star(flag) == []
    assert of_the_star(flag[3:]) == ["deblended from a neighbour", "neighbours in the aperture"]


def test_star_profile_of_a_gaussian_between_pixels() -> None:
    xy = np.array([[30.3, 30.7], [80.5, 30.0], [30.9, 85.2], [85.6, 80.4]])
    image = field(xy, np.array([4e4, 3e4, 2e4, 1e4]))
    profile = star_profile(image, xy, 16, 10.0, xy, 5.0)
    assert profile is not None
    assert profile.stars == 4
    assert profile.fwhm == pytest.approx(2.3548 * SIGMA, rel=0.03)  # rings half a pixel wide
    inside = np.interp([2.0, 3.0, 5.0], profile.grid, profile.growth)
    # Light is even within a pixel, which widens the sampled Gaussian by the variance of a pixel's width.
    expected = 1 - np.exp(-(np.array([2.0, 3.0, 5.0]) ** 2) / (2 * (SIGMA**2 + 1 / 12)))
    np.testing.assert_allclose(inside, expected, atol=0.002)
    assert profile.image.shape == (33, 33)
    assert profile.image[16, 16] == pytest.approx(1 / (2 * np.pi * SIGMA**2), rel=0.02)  # cubic convolution
    # Shifted to one centre, the picture is symmetric.
    np.testing.assert_allclose(profile.image, profile.image[::-1, ::-1], atol=3e-4)


def test_star_profile_leaves_out_unknown_pixels() -> None:
    xy = np.array([[30.0, 30.0], [80.0, 80.0]])
    image = field(xy, np.array([1e4, 1e4]))
    image[30, 32] = np.nan
    profile = star_profile(image, xy, 16, 10.0, xy, 5.0)
    assert profile is not None
    assert profile.stars == 1
    assert star_profile(image, xy[:1], 16, 10.0, xy, 5.0) is None
    assert star_profile(np.zeros((120, 120)), xy, 16, 10.0, xy, 5.0) is None


def test_a_neighbour_is_no_part_of_a_stars_profile() -> None:
    star, neighbour = np.array([[40.3, 40.7]]), np.array([[52.0, 43.0]])
    both = np.concatenate([star, neighbour])
    alone = star_profile(field(star, np.array([1e4])), star, 16, 14.0, star, 7.0)
    beside = star_profile(field(both, np.array([1e4, 5e3])), star, 16, 14.0, both, 7.0)
    assert alone is not None
    assert beside is not None
    np.testing.assert_allclose(beside.growth, alone.growth, atol=2e-3)
    np.testing.assert_allclose(beside.image, alone.image, atol=2e-4)


def test_width_of_a_ring_is_its_outer_edge() -> None:
    y, x = np.mgrid[:120, :120]
    distance = np.hypot(x - 60.2, y - 59.6)
    ring = ((distance > 4.0) & (distance < 8.0)).astype(float)
    profile = star_profile(ring, np.array([[60.2, 59.6]]), 16, 12.0, np.empty((0, 2)), 5.0)
    assert profile is not None
    assert profile.fwhm == pytest.approx(16.0, abs=0.6)  # rings half a pixel wide


def test_isolated_stars_are_preferred_and_crowded_ones_ranked() -> None:
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(2)), axis=-1).reshape(-1, 2) * 60.0 + 40.0
    neighbours = grid[:2] + np.array([5.0, 0.0])
    edge = np.array([[3.0, 3.0]])
    xy = np.concatenate([edge, grid, neighbours])
    flux = np.concatenate([[9e4], np.full(8, 1e4), [5e3, np.nan]])
    usable = np.ones(11, dtype=bool)
    usable[8] = False
    # The first of the grid has a neighbour; the second's is of unknown flux; the last one is not usable.
    assert isolated(xy, flux, usable, (200, 300), 16) == [2, 3, 4, 5, 6, 7]
    assert isolated(xy, flux, np.arange(11) < 4, (200, 300), 16) == [2, 3, 1]


def test_names_keep_away_from_stars_and_each_other_and_stay_inside() -> None:
    axes = Figure().add_subplot()
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    xy = np.random.default_rng(3).uniform(5, 95, (40, 2))
    place_labels(axes, [f"R{n}" for n in range(40)], [(x, y) for x, y in xy.tolist()], 2.0, {"R": "k"})
    at = np.array([text.get_position() for text in axes.texts])
    assert ((at >= 2) & (at <= 98)).all()
    to_names = np.hypot(*(at[:, None] - at).transpose(2, 0, 1)) + 100 * np.eye(40)
    to_stars = np.hypot(*(at[:, None] - xy).transpose(2, 0, 1))
    # Two radii of a mark; without regard to other names two of these would lie on each other.
    assert min(to_names.min(), to_stars.min()) > 4.0


@pytest.mark.parametrize("parity", [-1.0, 1.0], ids=["as on the sky", "mirrored"])
@pytest.mark.parametrize("angle", [0.0, 30.0, 135.0, 250.0])
@pytest.mark.parametrize("dec", [60.0, -89.9999, 90.0])
def test_the_compass_points_to_where_stars_are(angle: float, parity: float, dec: float) -> None:
    wcs = made_wcs(angle, parity, dec, scale=0.5)
    axes = sky_axes(wcs, (70.0, 40.0))
    assert axes.arcsec_per_pixel == pytest.approx(0.5, rel=1e-4)
    here = wcs.to_sky(np.array([[70.0, 40.0]]))[0]
    # A star 10 arcsec along the arrow is that much farther north, not to a side.
    ahead = wcs.to_sky(np.array([[70.0, 40.0]]) + 10.0 * axes.north)[0]
    moved = separation_arcsec(ahead[None], here[None])[0]
    assert ahead[1] - here[1] == pytest.approx(moved / 3600.0, rel=1e-3)
    east = wcs.to_sky(np.array([[70.0, 40.0]]) + 10.0 * axes.east)[0]
    assert (east[0] - here[0] + 180.0) % 360.0 - 180.0 > 0
    # Seen from below the sky, east is a quarter turn anticlockwise of north; mirrored, clockwise.
    assert np.sign(np.cross([*axes.north, 0.0], [*axes.east, 0.0])[2]) == -parity
