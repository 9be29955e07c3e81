"""The client's own cells are those of the library that the database's are from."""

import numpy as np
import pytest

from pipeline.sky.astrometry.sphere import directions, unit_vectors
from pipeline.sky.healpix import cells
from schema.sky_cells import cells_of, cells_of_circles


def _anywhere(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Places all over the sphere, many near the poles, on meridians of cells and on the edges of the caps."""
    random = np.random.default_rng(7)
    ra, dec = random.uniform(-10.0, 400.0, number), np.degrees(np.arcsin(random.uniform(-1.0, 1.0, number)))
    dec[:500] = random.uniform(89.99, 90.0, 500) * random.choice([-1.0, 1.0], 500)
    # Where cells meet libraries differ; here a tenth of a milliarcsecond beside.
    dec[500:700] = np.degrees(np.arcsin(2.0 / 3.0)) * random.choice([-1.0, 1.0], 200) + 3e-8
    dec[700:702] = 90.0, -90.0
    ra[600:1000] = 45.0 * random.integers(0, 8, 400) + 3e-8
    return ra, dec


def test_cells_are_the_librarys() -> None:
    ra, dec = _anywhere(100_000)
    assert np.array_equal(cells_of(ra, dec), cells(np.column_stack([ra, dec])))


@pytest.mark.parametrize("radius", [0.5, 5.0, 60.0, 300.0])
def test_no_cell_of_a_circle_is_left_out(radius: float) -> None:
    random = np.random.default_rng(int(radius))
    for ra, dec in np.column_stack(_anywhere(1000))[::5]:
        away = np.radians(np.sqrt(random.uniform(0, 1, 2000)) * radius / 3600)
        angle = random.uniform(0, 2 * np.pi, 2000)
        axis, a, d = unit_vectors(np.array([[ra, dec]])), np.radians(ra), np.radians(dec)
        east = np.array([-np.sin(a), np.cos(a), 0.0])
        north = np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
        side = np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
        within = directions(np.cos(away)[:, None] * axis + np.sin(away)[:, None] * side)
        assert set(cells_of(*within.T)) <= set(cells_of_circles(np.array([ra]), np.array([dec]), radius))


def test_cells_of_no_place_are_none() -> None:
    assert cells_of_circles(np.empty(0), np.empty(0), 5.0).size == 0
