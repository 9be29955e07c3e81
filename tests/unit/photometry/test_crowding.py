import numpy as np
import pytest

from pipeline.aperture.crowding import contamination, seeing_response
from pipeline.trials.simulation.star_stamps import draw_stars

FWHM = 3.2
BETA = 3.0


def light_in_circle(
    x: float, y: float, radius: float, sources: list[tuple[float, float, float]], fwhm: float = FWHM
) -> float:
    """Sum over a circle of an image of stars, each (x, y, flux)."""
    import sep

    table = np.array(sources)
    image = draw_stars((120, 120), table[:, 0], table[:, 1], table[:, 2], fwhm, BETA)
    return float(sep.sum_circle(image, [x], [y], radius, subpix=0)[0][0])


@pytest.mark.parametrize("distance", [0.5, 3.0, 6.0, 10.0, 16.0])
@pytest.mark.parametrize("radius", [2.5, 5.0])
def test_a_neighbour_brings_the_light_that_it_brings(distance: float, radius: float) -> None:
    own, other = (60.3, 59.8, 1e7), (60.3 + distance, 59.8, 3e7)  # bright enough to be drawn to their far wings
    expected = light_in_circle(60.3, 59.8, radius, [other]) / light_in_circle(60.3, 59.8, radius, [own])
    found = contamination(np.array([own[:2], other[:2]]), np.array([1e7, 3e7]), radius, FWHM)
    assert found[0] == pytest.approx(expected, rel=0.1, abs=3e-4)  # pixels widen the drawn profile by 2 %


@pytest.mark.parametrize("radius", [3.0, 5.5])
def test_what_seeing_does_to_a_star_beside_a_brighter_one(radius: float) -> None:
    """Relative to a lone star, whose own loss in wider seeing is the references' too."""
    own, other = (60.3, 59.8, 1e7), (70.9, 59.8, 1e8)

    def relative(fwhm: float) -> float:
        alone = light_in_circle(60.3, 59.8, radius, [own], fwhm)
        return light_in_circle(60.3, 59.8, radius, [own, other], fwhm) / alone

    found = seeing_response(np.array([own[:2], other[:2]]), np.array([1e7, 1e8]), radius, FWHM)
    expected = (relative(1.1 * FWHM) - relative(0.9 * FWHM)) / 0.2
    assert expected > 0.05
    assert found[0] == pytest.approx(expected, rel=0.15)
    assert abs(found[1]) < 0.01


def test_seeing_does_nothing_to_lone_and_empty_sources() -> None:
    xy = np.array([[10.0, 10.0], [200.0, 10.0], [203.0, 10.0]])
    assert seeing_response(xy, np.array([100.0, -5.0, 50.0]), 3.0, FWHM).tolist() == [0.0, 0.0, 0.0]


def test_lone_and_empty_sources() -> None:
    xy = np.array([[10.0, 10.0], [200.0, 10.0], [203.0, 10.0]])
    found = contamination(xy, np.array([100.0, -5.0, 50.0]), 3.0, FWHM)
    assert found[0] == 0.0
    assert np.isinf(found[1])
    assert found[2] == 0.0


def test_a_crowd_of_twenty_thousand() -> None:
    """All neighbours count, however the pairs are cut into blocks."""
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 2000, (20_000, 2))
    found = contamination(xy, np.ones(len(xy)), 3.0, FWHM)
    few = [0, 777, 19_999]
    for star in few:
        others = np.flatnonzero(np.hypot(*(xy - xy[star]).T) < 40)
        alone = contamination(xy[others], np.ones(others.size), 3.0, FWHM)[np.searchsorted(others, star)]
        assert found[star] == pytest.approx(alone)
