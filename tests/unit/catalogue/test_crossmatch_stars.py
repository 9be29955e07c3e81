"""The nearest stars of a source, and whether one is the source itself."""

import numpy as np
import pytest

from pipeline.sky.astrometry.sphere import directions, unit_vectors
from pipeline.sky.catalogue_match import crossmatch, detection_limit, estimate_zero_point, match_radius

ARCSEC = 1.0 / 3600.0
ZERO_POINT = 24.0
FIELD = (359.98, 46.0)  # across 0 h


def flux_of(mag: np.ndarray, zero_point: float = ZERO_POINT) -> np.ndarray:
    return 10.0 ** (0.4 * (zero_point - mag))


def scattered(rng: np.random.Generator, count: int, half_deg: float, centre: tuple[float, float] = FIELD) -> np.ndarray:
    """float64[n, 2]: places in a square about a place."""
    ra = centre[0] + rng.uniform(-half_deg, half_deg, count) / np.cos(np.radians(centre[1]))
    return np.column_stack([ra % 360.0, centre[1] + rng.uniform(-half_deg, half_deg, count)])


def shaken(rng: np.random.Generator, radec: np.ndarray, sigma_arcsec: float) -> np.ndarray:
    """Places with an error on each axis."""
    return directions(unit_vectors(radec) + rng.normal(0, np.radians(sigma_arcsec * ARCSEC), (len(radec), 3)))


def east(radec: np.ndarray, arcsec: float) -> np.ndarray:
    """Places a little to the east."""
    return np.column_stack([radec[:, 0] + arcsec * ARCSEC / np.cos(np.radians(radec[:, 1])), radec[:, 1]])


def test_a_field_across_zero_hours_is_matched_star_by_star() -> None:
    rng = np.random.default_rng(1)
    stars, mag = scattered(rng, 500, 0.5), rng.uniform(9.0, 16.0, 500)
    assert stars[:, 0].min() < 1.0
    assert stars[:, 0].max() > 359.0
    shown = rng.permutation(500)[:300]
    found = crossmatch(shaken(rng, stars[shown], 0.1), flux_of(mag[shown]), stars, mag, 1.5)
    assert found.is_match.all()
    np.testing.assert_array_equal(found.index[:, 0], shown)
    assert np.median(found.distance_arcsec[:, 0]) == pytest.approx(0.1 * np.sqrt(2 * np.log(2)), rel=0.15)
    assert found.zero_point == pytest.approx(ZERO_POINT, abs=0.01)


def test_neighbours_are_the_three_nearest_in_order() -> None:
    """Against all distances, taken one by one."""
    rng = np.random.default_rng(2)
    stars, mag = scattered(rng, 200, 0.05), rng.uniform(10.0, 12.0, 200)
    sources = stars[:50]
    found = crossmatch(sources, flux_of(mag[:50]), stars, mag, 0.5)
    cosine = np.clip(unit_vectors(sources) @ unit_vectors(stars).T, -1.0, 1.0)
    order = np.argsort(-cosine, axis=1)[:, :3]
    np.testing.assert_array_equal(found.index, order)
    assert np.all(np.diff(found.distance_arcsec, axis=1) > 0)
    third = np.degrees(np.arccos(np.take_along_axis(cosine, order, axis=1)[:, 2])) * 3600.0
    np.testing.assert_allclose(found.distance_arcsec[:, 2], third, rtol=1e-3)


def test_stars_too_faint_for_the_image_are_no_neighbours() -> None:
    """On pixels of 10 arcsec: 200 bright stars among 20,000 that the image cannot show."""
    rng = np.random.default_rng(3)
    bright, faint = scattered(rng, 200, 0.5), scattered(rng, 20_000, 0.5)
    stars = np.concatenate([bright, faint])
    mag = np.concatenate([rng.uniform(8.0, 12.0, 200), rng.uniform(14.5, 18.0, 20_000)])
    found = crossmatch(shaken(rng, bright, 1.0), flux_of(mag[:200]), stars, mag, match_radius(10.0))
    assert found.mag_limit == pytest.approx(14.0, abs=0.1)
    assert found.index.max() < 200
    np.testing.assert_array_equal(found.index[found.is_match, 0], np.flatnonzero(found.is_match))
    # Two of 200 stars in a square degree are rarely within one radius.
    assert found.is_match.sum() >= 197


def test_of_a_blend_the_bright_star_is_the_source() -> None:
    """A star three magnitudes fainter lies nearer to the centroid: no image tells the two apart."""
    rng = np.random.default_rng(4)
    sources = scattered(rng, 50, 0.3)
    mag = rng.uniform(10.0, 13.0, 50)
    bright, faint = east(sources, 0.5), east(sources, -0.2)
    stars = np.concatenate([bright, faint])
    found = crossmatch(sources, flux_of(mag), stars, np.concatenate([mag, mag + 3.0]), 2.0)
    assert found.is_match.all()
    np.testing.assert_array_equal(found.index[:, 0], np.arange(50))


def test_of_a_pair_of_like_stars_the_nearer_is_the_source_and_both_are_kept() -> None:
    rng = np.random.default_rng(5)
    sources = scattered(rng, 50, 0.3)
    mag = rng.uniform(10.0, 13.0, 50)
    stars = np.concatenate([east(sources, 0.3), east(sources, -1.0)])
    found = crossmatch(sources, flux_of(mag), stars, np.concatenate([mag, mag + 0.5]), 2.0)
    np.testing.assert_array_equal(found.index[:, 0], np.arange(50))
    np.testing.assert_array_equal(found.index[:, 1], np.arange(50) + 50)
    np.testing.assert_allclose(found.distance_arcsec[:, :2], [[0.3, 1.0]] * 50, rtol=1e-4)


def test_a_star_is_one_source_only() -> None:
    """Of two sources at one star the nearer is the star; the other has it for a neighbour."""
    rng = np.random.default_rng(6)
    stars = scattered(rng, 40, 0.3)
    mag = rng.uniform(10.0, 13.0, 40)
    sources = np.concatenate([east(stars, 0.9), east(stars, -0.4)])
    found = crossmatch(sources, np.tile(flux_of(mag), 2), stars, mag, 1.5)
    np.testing.assert_array_equal(found.is_match, [False] * 40 + [True] * 40)
    np.testing.assert_array_equal(found.index[:, 0], np.tile(np.arange(40), 2))


def test_a_source_without_a_star_has_neighbours_and_no_match() -> None:
    rng = np.random.default_rng(7)
    stars, mag = scattered(rng, 100, 0.2), rng.uniform(10.0, 13.0, 100)
    alone = np.array([[FIELD[0], FIELD[1] + 0.5]])
    found = crossmatch(np.concatenate([stars, alone]), flux_of(np.append(mag, 11.0)), stars, mag, 1.5)
    assert found.is_match[:100].all()
    assert not found.is_match[100]
    assert found.distance_arcsec[100, 0] > 1000.0


def test_sources_without_a_place_match_nothing() -> None:
    rng = np.random.default_rng(8)
    stars, mag = scattered(rng, 20, 0.2), rng.uniform(10.0, 13.0, 20)
    found = crossmatch(np.concatenate([stars, [[np.nan, np.nan]]]), flux_of(np.append(mag, 9.0)), stars, mag, 1.5)
    assert found.is_match.tolist() == [True] * 20 + [False]
    assert found.index[20].tolist() == [-1, -1, -1]
    assert np.isnan(found.distance_arcsec[20]).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_catalogue_of_few_stars_gives_few_neighbours(count: int) -> None:
    sources = np.array([[10.0, 20.0], [10.1, 20.0]])
    found = crossmatch(sources, np.ones(2), sources[:count], np.full(count, 12.0), 1.5)
    assert (found.index >= 0).sum(axis=1).tolist() == [count, count]
    assert found.is_match.tolist() == [index < count for index in range(2)]
    assert np.isnan(found.zero_point)
    assert found.mag_limit == np.inf


def test_the_zero_point_does_not_follow_outliers() -> None:
    """A third of the matches are chance: the median of the rest is off by what a third on one side makes of it."""
    rng = np.random.default_rng(9)
    stars, mag = scattered(rng, 300, 0.3), rng.uniform(9.0, 15.0, 300)
    flux = flux_of(mag + rng.normal(0, 0.05, 300))
    flux[::3] = rng.uniform(flux.min(), flux.max(), 100)
    assert estimate_zero_point(stars, flux, stars, mag, 1.5) == pytest.approx(ZERO_POINT, abs=0.15)


def test_negative_and_unknown_fluxes_have_no_say() -> None:
    stars = np.column_stack([np.linspace(10.0, 11.0, 20), np.zeros(20)])
    mag = np.linspace(9.0, 14.0, 20)
    flux = flux_of(mag)
    flux[-3:] = [np.nan, -5.0, 0.0]
    assert estimate_zero_point(stars, flux, stars, mag, 1.5) == pytest.approx(ZERO_POINT, abs=1e-9)
    assert detection_limit(flux, ZERO_POINT) == pytest.approx(mag[-4] + 2.0, abs=0.05)


@pytest.mark.parametrize(("scale", "radius"), [(0.4, 1.5), (2.0, 1.5), (4.0, 3.0), (20.0, 15.0), (np.nan, 1.5)])
def test_the_radius_grows_with_coarse_pixels(scale: float, radius: float) -> None:
    assert match_radius(scale) == radius
