"""Separations, neighbours and matches on the sphere, against astropy and by hand."""

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord

from pipeline.nearest import closest_pairs
from pipeline.sky.astrometry import nearest_on_sky, separation_arcsec, unit_vectors
from pipeline.sky.astrometry.projection import from_stereographic, to_stereographic
from pipeline.sky.astrometry.sphere import directions
from pipeline.stack.detection import match_sources


def anywhere(rng: np.random.Generator, number: int) -> np.ndarray:
    return np.column_stack([rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number)))])


def coords(radec: np.ndarray) -> SkyCoord:
    return SkyCoord(radec[:, 0], radec[:, 1], unit="deg")


def test_separations_are_astropys(rng: np.random.Generator) -> None:
    a, b = anywhere(rng, 500), anywhere(rng, 500)
    b[:100] = a[:100] + 1e-7
    b[100:110] = np.column_stack([(a[100:110, 0] + 180) % 360, -a[100:110, 1]])  # the other side of the sky
    np.testing.assert_allclose(separation_arcsec(a, b), coords(a).separation(coords(b)).arcsec, rtol=1e-9, atol=1e-9)


def test_directions_are_the_inverse_of_unit_vectors(rng: np.random.Generator) -> None:
    radec = np.concatenate([anywhere(rng, 100), [[0.0, 0.0], [359.9999999, 10.0], [-1e-15, 5.0]]])
    back = directions(3.0 * unit_vectors(radec))
    assert separation_arcsec(back, radec).max() < 1e-9
    assert ((back[:, 0] >= 0) & (back[:, 0] < 360)).all()


@pytest.mark.parametrize("place", [(0.0, 0.0), (359.9, 89.9), (12.0, -90.0), (200.0, 45.0)])
def test_stereographic_there_and_back(rng: np.random.Generator, place: tuple[float, float]) -> None:
    radec = anywhere(rng, 200)
    radec = radec[separation_arcsec(radec, np.array([place])) < 170 * 3600]
    assert separation_arcsec(from_stereographic(to_stereographic(radec, *place), *place), radec).max() < 1e-8


def test_neighbours_are_astropys_across_0_h_and_at_a_pole(rng: np.random.Generator) -> None:
    for centre in ((0.0, 0.0), (100.0, 90.0)):
        catalogue = from_stereographic(rng.uniform(-0.5, 0.5, (400, 2)), *centre)
        radec = from_stereographic(rng.uniform(-0.5, 0.5, (50, 2)), *centre)
        distance, index = nearest_on_sky(radec, catalogue, 3)
        for k in range(3):
            truth, away, _ = coords(radec).match_to_catalog_sky(coords(catalogue), nthneighbor=k + 1)
            np.testing.assert_array_equal(index[:, k], truth)
            np.testing.assert_allclose(distance[:, k], away.to_value(units.arcsec), rtol=1e-9)


def test_neighbours_that_are_not_there() -> None:
    radec = np.array([[10.0, 20.0], [np.nan, 1.0]])
    distance, index = nearest_on_sky(radec, np.array([[np.nan, np.nan], [10.0, 20.001]]), 2)
    assert distance[0, 0] == pytest.approx(3.6)
    assert index.tolist() == [[1, -1], [-1, -1]]
    assert np.isinf([distance[0, 1], *distance[1]]).all()
    assert nearest_on_sky(radec, np.empty((0, 2)), 1)[1].tolist() == [[-1], [-1]]
    assert nearest_on_sky(np.empty((0, 2)), radec, 3)[0].shape == (0, 3)


def match_on_sky(known: np.ndarray, found: np.ndarray, radius_arcsec: float) -> np.ndarray:
    """Matches by the chords between directions: `match_sources` knows no number of dimensions."""
    chord = 2.0 * np.sin(np.radians(radius_arcsec / 3600) / 2.0)
    return match_sources(unit_vectors(known), unit_vectors(found), chord)


def test_matches_are_one_to_one_and_the_closest_wins() -> None:
    step = 1 / 3600
    known = np.array([[0.0, 0.0], [3 * step, 0.0], [50.0, 0.0]])
    # Both of the first two are nearest to known 0; the farther of them is near enough to known 1.
    found = np.array([[360 - 0.1 * step, 0.0], [1.4 * step, 0.0], [50.0, 1.6 * step], [70.0, 0.0]])
    assert match_on_sky(known, found, 1.5).tolist() == [0, -1, -1, -1]
    assert match_on_sky(known, found, 1.61).tolist() == [0, 1, 2, -1]


def test_matches_of_a_shuffled_sky(rng: np.random.Generator) -> None:
    known = from_stereographic(rng.uniform(-0.3, 0.3, (2000, 2)), 0.0, 89.9)
    order = rng.permutation(2000)[:1500]
    found = from_stereographic(
        to_stereographic(known[order], 0.0, 89.9) + rng.normal(0, 0.05 / 3600, (1500, 2)), 0, 89.9
    )
    # 2,000 stars in 0.36 square degrees: the nearest other is 24" away on average, errors are 0.07".
    assert (match_on_sky(known, found, 1.5) == order).mean() > 0.995
    assert match_on_sky(np.empty((0, 2)), found, 1.5).max() == -1
    assert match_on_sky(known, np.empty((0, 2)), 1.5).shape == (0,)


def test_closest_pairs_take_each_end_once(rng: np.random.Generator) -> None:
    i, j = rng.integers(0, 40, (2, 300))
    first, second = closest_pairs(i, j)
    taken: list[tuple[int, int]] = []
    for one, other in zip(i.tolist(), j.tolist(), strict=True):
        if all(one != a and other != b for a, b in taken):
            taken.append((one, other))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == sorted(taken)
