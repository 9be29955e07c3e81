import numpy as np

from bench.photometry.scores import Stars, bins, together
from bench.photometry.tables import TIANYU, behind

OTHER = "other"
RADII = (1.0, 2.0)  # FWHM


def night_of(mag: np.ndarray, over_floor: dict[str, np.ndarray]) -> Stars:
    """Scatter of float64[star, aperture] over a floor that grows with magnitude."""
    floor = 10 ** (0.3 * (mag - 20.0))
    scatter = {tool: floor[:, None] * values for tool, values in over_floor.items()}
    return Stars(mag, floor, scatter, scatter, dict.fromkeys(over_floor, RADII))


def test_the_aperture_is_that_of_all_stars_and_not_of_the_one_in_the_middle() -> None:
    mag = np.linspace(11.5, 12.4, 9)
    over_floor = np.column_stack([np.full(9, 1.1), np.full(9, 1.0)])
    over_floor[4, 0] = 0.9
    [one] = bins(night_of(mag, {TIANYU: over_floor}), 11.5, 12.5)
    assert one.radius[TIANYU] == RADII[1]
    np.testing.assert_allclose(one.scatter[TIANYU] / one.floor, 1.0)


def test_a_tool_that_scatters_less_on_all_nights_together_is_named() -> None:
    """Ten stars a night differ by 5 % from one to the next: one night is within two standard errors, nine are not."""
    rng = np.random.default_rng(1)

    def night(advantage: float) -> Stars:
        other = advantage * (1 + 0.05 * rng.standard_normal((10, 1)))
        return night_of(rng.uniform(12.5, 13.5, 10), {TIANYU: np.ones((10, 2)), OTHER: np.repeat(other, 2, axis=1)})

    def found(advantage: float, nights: int) -> list[str]:
        return behind(bins(together([night(advantage) for _ in range(nights)]), 12.5, 13.5), [TIANYU, OTHER])

    assert found(0.96, 9)
    assert "12.5" in found(0.96, 9)[0]
    assert not found(1.04, 9)
    assert sum(bool(found(1.0, 1)) for _ in range(100)) < 20
    assert sum(bool(found(0.96, 1)) for _ in range(100)) < sum(bool(found(0.96, 9)) for _ in range(100))
