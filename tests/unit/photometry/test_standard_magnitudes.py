"""Standard bands: Gaia's relations, magnitudes with a colour term, and colours by two filters."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.zero_points import (
    BANDS,
    RELATIONS,
    Points,
    StandardFlag,
    Transformation,
    band_of_filter,
    by_relation,
    colour_curve,
    index_by_relation,
    points_of,
    two_filter_curve,
    with_catalogue_colour,
)
from pipeline.zero_points.standard_magnitudes import between
from tests.unit.photometry.zero_point_night import Night, Truth, make

# The Sun: G - V by G = -26.90 (Casagrande & VandenBerg 2018) and V = -26.76; B - V, V - Rc, V - Ic by Ramirez et al.
# 2012 (ApJ 752, 5); BP - RP = 0.82.
SUN_COLOUR = 0.82
B_BY = Transformation("B", 0.12, 0.004, 0.9, 0.0, 1.7)
V_BY = Transformation("V", -0.07, 0.003, 0.9, 0.0, 1.9)


@pytest.mark.parametrize(("pair", "known"), [(("B", "V"), 0.653), (("V", "Rc"), 0.352), (("V", "Ic"), 0.702)])
def test_the_relations_give_the_suns_colours(pair: tuple[str, str], known: float) -> None:
    """To the relations' own scatter."""
    scatter = np.hypot(*(RELATIONS[band].scatter for band in pair))
    [index] = index_by_relation(*pair, np.array([SUN_COLOUR]))
    assert index == pytest.approx(known, abs=scatter)


def test_the_relations_are_as_published() -> None:
    """Each at BP - RP = 1: the sum of its coefficients as Gaia DR3's documentation lists them, added by hand."""
    sums = {"B": -0.972201, "V": -0.21414, "Rc": 0.238865, "Ic": 0.67843, "g": -0.565, "r": 0.03078, "i": 0.249206}
    got = {band: float(-by_relation(band, np.zeros(1), np.ones(1))[0]) for band in sums}
    assert got == pytest.approx(sums, abs=1e-9)
    assert set(RELATIONS) == set(sums) < set(BANDS)


def test_a_relation_ends_where_its_colours_end() -> None:
    for band, relation in RELATIONS.items():
        ends = np.array([relation.low - 0.01, relation.low + 0.01, relation.high - 0.01, relation.high + 0.01])
        assert np.isfinite(by_relation(band, np.full(4, 12.0), ends)).tolist() == [False, True, True, False], band
    assert np.isnan(by_relation("V", np.array([12.0]), np.array([np.nan]))).all()
    assert np.isnan(by_relation("z", np.array([12.0]), np.array([1.0]))).all()


def test_filters_are_told_from_their_names() -> None:
    names = {"R": "Rc", "r": "r", "V": "V", "gp": "g", "Ic": "Ic", "i'": "i", " B ": "B"}
    assert {name: band_of_filter(name) for name in names} == names
    assert [band_of_filter(name) for name in ("Clear", "L", "TG", "Ha", "", "RG")] == [None] * 6


def _in_band(band: str, seed: int, colour_term: float) -> tuple[Night, np.ndarray]:
    """A night whose filter is a band and a colour term, and the true magnitudes of its stars in it."""
    night = make(Truth(stars=150, frames=20, colour_term=colour_term, colour_spread=0.3, seed=seed))
    return night, night.true_mag


def test_the_fit_finds_the_instruments_colour_term_with_an_honest_error() -> None:
    """Of 40 nights, the pulls of colour term and level: spread 1, no bias."""
    pulls = []
    for seed in range(40):
        night, _ = _in_band("V", seed, -0.08)
        found = night.fit(60)
        pulls.append((found.colour_term + 0.08) / found.colour_term_error)
        assert found.colours[0] < found.colour_reference < found.colours[1]
    assert abs(np.mean(pulls)) < 0.5
    assert np.std(pulls) == pytest.approx(1.0, abs=0.3)


def test_magnitudes_and_their_errors() -> None:
    """Photon noise stands apart from what a zero point and a colour are off."""
    points = points_of(
        np.arange(3.0), np.array([1000.0, 0.0, 1000.0]), np.full(3, 10.0), np.full(3, 20.0), np.full(3, 0.02)
    )
    found = with_catalogue_colour(points, V_BY, 1.4, 0.1)
    assert found.magnitude[0] == pytest.approx(20.0 - 7.5 - 0.07 * 0.5)
    assert found.noise[0] == pytest.approx(0.010857, rel=1e-3)
    expected = np.sqrt(0.010857**2 + 0.02**2 + (0.07 * 0.1) ** 2 + (0.003 * 0.5) ** 2)
    assert found.error[0] == pytest.approx(expected, rel=1e-3)
    assert np.isnan(found.magnitude[1])
    assert found.flag.tolist() == [0, StandardFlag.NO_FLUX, 0]


def test_no_magnitude_without_a_colour_or_beyond_the_colours() -> None:
    points = Points(np.zeros(1), np.array([12.0]), np.array([0.01]), np.array([0.01]))
    for colour, why in ((np.nan, StandardFlag.NO_COLOUR), (1.95, StandardFlag.OUTSIDE_COLOURS)):
        found = with_catalogue_colour(points, V_BY, colour, 0.0)
        assert np.isnan(found.magnitude).all()
        assert found.flag.tolist() == [int(why)]
    assert with_catalogue_colour(points, V_BY, 1.85, 0.0).flag.tolist() == [0]


def test_points_between_points() -> None:
    """On the line, with less noise and no less of what both share; none beyond a gap, before or behind."""
    own = Points(
        np.array([0.0, 0.01, 0.2]), np.array([10.0, 10.2, 11.0]), np.full(3, 0.02), np.full(3, np.hypot(0.02, 0.03))
    )
    found = between(own, np.array([-0.001, 0.0, 0.005, 0.1, 0.2, 0.21]), 0.02)
    assert found.magnitude[[1, 2]].tolist() == pytest.approx([10.0, 10.1])
    assert found.noise[2] == pytest.approx(0.02 / np.sqrt(2))
    assert found.error[2] == pytest.approx(np.hypot(0.02 / np.sqrt(2), 0.03))
    assert np.isnan(found.magnitude[[0, 3, 5]]).all()


def _star(colour: np.ndarray, noise: float, rng: np.random.Generator) -> tuple[Points, Points]:
    """A star of changing colour in B and V as the two filters show it, V ten minutes after B."""
    time = 0.004 * np.arange(colour.size)
    points = []
    for band, by, shift in (("B", B_BY, 0.0), ("V", V_BY, 0.0007)):
        at = np.interp(time + shift, time, colour)
        magnitude = by_relation(band, np.full(at.size, 12.0), at) - by.colour_term * (at - by.colour_reference)
        magnitude = magnitude + noise * rng.standard_normal(at.size)
        points.append(Points(time + shift, magnitude, np.full(at.size, noise), np.full(at.size, noise)))
    return points[0], points[1]


def test_two_filters_follow_a_star_that_changes_its_colour() -> None:
    """A pulsator of BP - RP 0.5 to 1.1: bands, index and colour to their noise; the mean colour leaves 25 mmag."""
    colour = 0.8 + 0.3 * np.sin(np.linspace(0.0, 6.0, 300))
    noise = 0.004
    b, v = _star(colour, noise, np.random.default_rng(3))
    exact = replace(B_BY, colour_term_error=0.0), replace(V_BY, colour_term_error=0.0)
    found = two_filter_curve(b, exact[0], v, exact[1])
    known = np.isfinite(found.index)
    assert known[1:].all()  # before the first point of V there is none
    for values, errors, truth in (
        (found.first.magnitude, found.first.error, by_relation("B", np.full(colour.size, 12.0), colour)),
        (found.second.magnitude, found.second.error, by_relation("V", np.full(colour.size, 12.0), colour)),
        (found.index, found.index_error, index_by_relation("B", "V", colour)),
    ):
        pull = ((values - truth) / errors)[known]
        assert abs(pull.mean()) < 0.25
        assert pull.std() == pytest.approx(1.0, abs=0.15)
    assert np.abs(found.first.colour - colour)[known].max() < 0.05
    by_mean = colour_curve(b, B_BY, v, V_BY, 0.8, 0.0)
    wrong = by_mean.index - index_by_relation("B", "V", colour)
    assert np.nanstd(wrong) > 0.025


def test_two_filters_that_tell_no_colour_are_refused() -> None:
    b, v = _star(np.full(10, 0.8), 0.01, np.random.default_rng(1))
    with pytest.raises(UnusableDataError, match="do not tell a colour"):
        two_filter_curve(b, replace(B_BY, colour_term=0.72), v, V_BY)
    with pytest.raises(UnusableDataError, match="no relation for z and V"):
        two_filter_curve(b, replace(B_BY, band="z"), v, V_BY)
    with pytest.raises(UnusableDataError, match="no colours in common"):
        two_filter_curve(b, replace(B_BY, colour_low=1.8, colour_high=1.9), v, replace(V_BY, colour_high=1.7))


def test_a_colour_that_no_star_has_gives_no_magnitude() -> None:
    b, v = _star(np.full(10, 0.8), 0.001, np.random.default_rng(1))
    found = two_filter_curve(replace(b, magnitude=b.magnitude + 3.0), B_BY, v, V_BY)
    assert np.isnan(found.index).all()
    assert (found.first.flag[1:] == StandardFlag.OUTSIDE_COLOURS).all()
