"""HEALPix cells: Gaia's own numbers, and cones without a gap."""

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.sky.astrometry.sphere import directions, separation_arcsec, unit_vectors
from pipeline.sky.healpix import (
    FEW_RANGES,
    cells,
    cells_of_cone,
    cells_of_cones,
    few_ranges_of_cones,
    middle_of_cell,
    separations_from_cells,
)
from services.sky.catalogue.gaia_archive import ID_OFFSET_DEG, IDS_PER_CELL, reach_of_cell_deg

PROXIMA = (5853498713190525696, 217.392321472009, -62.6760751167667)  # Gaia DR3
BARNARD = (4472832130942575872, 269.44850252543836, 4.739420051112412)


def test_a_gaia_source_id_begins_with_its_cell() -> None:
    assert cells([PROXIMA[1:]]).tolist() == [PROXIMA[0] >> 35]


def test_an_id_may_name_a_cell_beside_the_stars() -> None:
    """Ids go back to places of the year 2000, from which Barnard's star has moved farther than any other."""
    assert cells([BARNARD[1:]]).tolist() != [BARNARD[0] >> 35]
    (separation,) = separations_from_cells(np.array([BARNARD[1:]]), np.array([BARNARD[0] >> 35]), 12).tolist()
    assert separation * 60.0 < ID_OFFSET_DEG * 60.0


@pytest.mark.parametrize("star", [PROXIMA, BARNARD])
def test_a_star_is_within_reach_of_the_cell_that_its_id_names(star: tuple[int, float, float]) -> None:
    middle = middle_of_cell(star[0] // IDS_PER_CELL)
    assert cells([middle]).tolist() == [star[0] // IDS_PER_CELL]
    away = separation_arcsec(np.array([middle]), np.array([star[1:]])).item() / 3600.0
    assert away < reach_of_cell_deg(12)


def test_a_coarser_cell_is_a_quarter_of_the_number() -> None:
    places = directions(np.random.default_rng(1).normal(size=(1000, 3)))
    np.testing.assert_array_equal(cells(places, 11), cells(places, 12) // 4)
    np.testing.assert_array_equal(cells(places, 0), cells(places, 12) // 4**12)


def test_a_turn_more_or_less_is_the_same_place() -> None:
    assert len(set(cells([[370.0, 5.0], [10.0, 5.0], [-350.0, 5.0]]).tolist())) == 1


@pytest.mark.parametrize("place", [(np.nan, 5.0), (5.0, np.inf), (5.0, 90.1), (5.0, -91.0)])
def test_places_that_are_nowhere_are_refused(place: tuple[float, float]) -> None:
    with pytest.raises(UnusableDataError, match="1 of 2 places are nowhere"):
        cells([[1.0, 2.0], place])


def points_in_cone(rng: np.random.Generator, axis: np.ndarray, radius: float, count: int) -> np.ndarray:
    """Places in a cone, half of them on its rim."""
    along = np.cos(np.radians(radius)) + (1 - np.cos(np.radians(radius))) * rng.random(count)
    along[: count // 2] = np.cos(np.radians(radius) * (1 - 1e-9))
    turn = rng.uniform(0, 2 * np.pi, count)
    first = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    around = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
    return directions(along[:, None] * axis + np.sqrt(1 - along**2)[:, None] * around)


def test_no_cell_of_a_cone_is_missed() -> None:
    """Cones of 0.001 to 90 degrees at random places and at the poles, against 4000 points in each."""
    rng = np.random.default_rng(2)
    for number in range(150):
        axis = rng.normal(size=3) if number % 10 else np.array([0.0, 0.0, rng.choice([-1.0, 1.0])])
        axis /= np.linalg.norm(axis)
        radius, order = 10.0 ** rng.uniform(-3.0, 1.95), int(rng.integers(0, 8))
        ((ra, dec),) = directions(axis[None]).tolist()
        found = cells_of_cone(ra, dec, radius, order)
        needed = np.unique(cells(points_in_cone(rng, axis, radius, 4000), order))
        assert set(needed.tolist()) <= set(found.tolist()), (ra, dec, radius, order)


def test_a_cone_that_the_library_gets_wrong() -> None:
    ra, dec, radius = 74.78433913699024, 78.23371730837297, 2.750629072746906
    axis = unit_vectors(np.array([[ra, dec]]))[0]
    needed = np.unique(cells(points_in_cone(np.random.default_rng(3), axis, radius, 4000), 2))
    assert needed.size == 2
    assert set(needed.tolist()) <= set(cells_of_cone(ra, dec, radius, 2).tolist())


def test_a_cone_gives_few_cells_besides_its_own() -> None:
    """Cells whose nearest point is farther than a sixteenth of a cell are left out: here, some hundred of 49,152."""
    found = cells_of_cone(30.0, 20.0, 4.0, 6)
    area = np.pi * 4.0**2 / (41253.0 / 49152.0)
    rim = 2 * np.pi * 4.0 / np.sqrt(41253.0 / 49152.0)
    assert area < found.size < area + 1.5 * rim


def test_many_cones_have_the_cells_of_each() -> None:
    axes = directions(np.random.default_rng(4).normal(size=(40, 3)))
    radius = np.geomspace(0.1, 60.0, 40)
    cone, found = cells_of_cones(axes, radius, 4)
    for number, ((ra, dec), size) in enumerate(zip(axes.tolist(), radius.tolist(), strict=True)):
        np.testing.assert_array_equal(found[cone == number], cells_of_cone(ra, dec, size, 4))


def test_few_ranges_of_a_cone_miss_nothing_of_it() -> None:
    """Cones of 1e-4 to 180 degrees at random places, at the poles and where cells begin, against points in each."""
    rng = np.random.default_rng(5)
    axes = rng.normal(size=(300, 3))
    axes[::10] = [0.0, 0.0, 1.0]
    axes[1::10] = [0.0, 0.0, -1.0]
    axes[2::10] = [1.0, 0.0, 0.0]
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    radius = np.minimum(10.0 ** rng.uniform(-4.0, 2.4, len(axes)), 180.0)
    ranges = few_ranges_of_cones(directions(axes), radius)
    assert ranges.shape == (300, FEW_RANGES, 2)
    for axis, size, found in zip(axes, radius.tolist(), ranges, strict=True):
        needed = np.unique(cells(points_in_cone(rng, axis, size, 1000)))
        assert ((needed[:, None] >= found[:, 0]) & (needed[:, None] <= found[:, 1])).any(axis=1).all(), (axis, size)


def test_few_ranges_of_a_small_cone_are_small() -> None:
    """Two arcseconds lie in a few cells of 52; the median cone of a degree in 25 times its area."""
    places = directions(np.random.default_rng(6).normal(size=(500, 3)))
    counted = (np.diff(few_ranges_of_cones(places, 2.0 / 3600.0))[..., 0] + 1).sum(axis=1)
    assert counted.min() == 1
    assert counted.max() <= 5
    sizes = (np.diff(few_ranges_of_cones(places, 1.0))[..., 0] + 1).sum(axis=1) * 41253.0 / (12 * 4**12)
    assert np.median(sizes) < 25 * np.pi


def test_all_cells_belong_to_the_whole_sphere() -> None:
    np.testing.assert_array_equal(cells_of_cone(10.0, -80.0, 180.0, 3), np.arange(768))


def test_a_tiny_cone_lies_in_its_own_cell() -> None:
    assert cells_of_cone(45.0, 0.5, 1e-4, 12).tolist() == cells([[45.0, 0.5]]).tolist()


def test_the_first_cell_lies_at_two_thirds_of_the_northern_axis() -> None:
    centre = np.array([[45.0, np.degrees(np.arcsin(2.0 / 3.0))], [45.0, 90.0]])
    expected = [0.0, 90.0 - np.degrees(np.arcsin(2.0 / 3.0))]
    np.testing.assert_allclose(separations_from_cells(centre, np.array([0, 0]), 0), expected, atol=1e-6)
