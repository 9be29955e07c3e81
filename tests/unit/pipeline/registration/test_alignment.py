"""Alignments against the transformation that made the frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.registration.alignment import Alignment, align
from tests.unit.pipeline.star_fields import star_list

LARGE, SMALL = (2048, 2048), (500, 650)
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Two frames of one sky: ``stars`` a frame, of which ``shared`` are in both lists, and ``hot`` pixels in both."""

    stars: int
    shape: tuple[int, int]
    drift: tuple[float, float]
    rotation: float = 0.0
    shared: float = 1.0
    hot: int = 0
    hot_noise: float = 0.03
    scale: float = 1.0

    @property
    def truth(self) -> Alignment:
        ny, nx = self.shape
        return Alignment(*self.drift, self.rotation, self.scale, (nx - 1) / 2, (ny - 1) / 2, 0, 0)

    def lists(self, rng: np.random.Generator, noise: float = 0.1) -> tuple[NDArray[Any], NDArray[Any]]:
        """Star lists of reference and frame; each star is seen by each with the square root of ``shared``."""
        ny, nx = self.shape
        sky = (rng.uniform(-1.25, 1.25, (int(self.stars * 6.25), 2)) + 0.5) * (nx, ny)
        flux = 10 ** rng.uniform(2.5, 5, len(sky))
        spurious, brightness = rng.uniform(0, 1, (self.hot, 2)) * (nx - 1, ny - 1), 10 ** rng.uniform(3, 5, self.hot)
        lists = []
        for place in (sky, self.truth.to_frame(sky)):
            seen = ((place > 0) & (place < (nx - 1, ny - 1))).all(axis=1) & (rng.random(len(sky)) < self.shared**0.5)
            xy = np.concatenate(
                [
                    place[seen] + rng.normal(0, noise, (seen.sum(), 2)),
                    spurious + rng.normal(0, self.hot_noise, spurious.shape),
                ]
            )
            bright = np.concatenate([flux[seen] * np.exp(rng.normal(0, 0.1, seen.sum())), brightness])
            lists.append(star_list(xy, bright))
        return lists[0], lists[1]


def worst_error(found: Alignment, truth: Alignment, shape: tuple[int, int]) -> float:
    ny, nx = shape
    corners = np.array([[0, 0], [nx, 0], [0, ny], [nx, ny], [nx / 2, ny / 2]], np.float64)
    return float(np.hypot(*(found.to_frame(corners) - truth.to_frame(corners)).T).max())


class TestAlignment:
    def test_rotation_is_counter_clockwise_about_the_centre(self) -> None:
        turn = Alignment(10.0, 20.0, 90.0, 1.0, 50.0, 50.0, 0.0, 3)
        np.testing.assert_allclose(turn.to_frame(np.array([[60.0, 50.0]])), [[60, 80]], atol=1e-12)

    def test_there_and_back(self, rng: np.random.Generator) -> None:
        found = Alignment(-31.2, 7.4, 1.3, 1.002, 324.5, 249.5, 0.1, 9)
        xy = rng.uniform(0, 600, (50, 2))
        np.testing.assert_allclose(found.to_reference(found.to_frame(xy)), xy, atol=1e-9)

    def test_the_reference_lies_on_itself(self) -> None:
        xy = np.array([[3.0, 4.0], [600.0, 1.0]])
        identity = Alignment.identity(SMALL)
        np.testing.assert_array_equal(identity.to_frame(xy), xy)
        assert (identity.center_x, identity.center_y) == (324.5, 249.5)


@pytest.mark.parametrize(
    ("case", "tolerance"),
    [
        pytest.param(Case(250, LARGE, (3.3, -2.2)), 0.1, id="plain"),
        pytest.param(Case(250, LARGE, (410.3, -380.7), 0.1), 0.15, id="drift of hundreds"),
        pytest.param(Case(250, LARGE, (200, 50), 1.5, shared=0.6), 0.15, id="rotated"),
        pytest.param(Case(250, LARGE, (-300, 50), -1.5, shared=0.5, scale=1.001), 0.2, id="half, rotated back"),
        pytest.param(Case(80, LARGE, (100, -220), 1.0, shared=0.5), 0.4, id="few, half, rotated"),
        pytest.param(Case(20000, LARGE, (150.5, 20), 0.4, shared=0.5), 0.1, id="crowded"),
        pytest.param(Case(300, SMALL, (270, -100), 0.6, shared=0.7), 0.3, id="small frame"),
        pytest.param(Case(3000, SMALL, (100, -100), 1.5, shared=0.5), 0.3, id="small, crowded, rotated"),
        pytest.param(Case(40, SMALL, (60, -40), 0.2, shared=0.7, hot=300), 0.5, id="mostly hot pixels"),
        pytest.param(Case(40, LARGE, (260, -140), 1.0, shared=0.7, hot=300), 0.5, id="mostly hot pixels, rotated"),
        pytest.param(Case(40, LARGE, (1.2, -0.4), shared=0.7, hot=300), 0.4, id="hot pixels, small drift"),
        pytest.param(Case(40, LARGE, (0.05, 0), shared=0.7, hot=300), 0.2, id="hot pixels, no drift"),
        pytest.param(Case(300, LARGE, (0, 0), shared=0.7, hot=300), 0.1, id="no drift"),
        pytest.param(Case(250, LARGE, (30, 40), 179.6), 0.2, id="meridian flip"),
    ],
)
def test_the_transformation_is_found(rng: np.random.Generator, case: Case, tolerance: float) -> None:
    for _ in range(4):
        reference, frame = case.lists(rng)
        found = align(reference, frame, case.shape)
        assert worst_error(found, case.truth, case.shape) < tolerance
        assert found.rms < 0.35
        assert found.matches >= 0.2 * min(len(reference), len(frame), 600) * (1 if not case.hot else 0.2)


def test_rms_is_that_of_the_matches(rng: np.random.Generator) -> None:
    reference, frame = Case(300, LARGE, (12.0, 5.0)).lists(rng, noise=0.1)
    # Two coordinates of two lists: a distance of 0.1 × 2 px.
    assert align(reference, frame, LARGE).rms == pytest.approx(0.2, rel=0.1)


def test_three_stars_are_enough(rng: np.random.Generator) -> None:
    xy = np.array([[300.0, 1700], [1500, 400], [900, 1000]])
    truth = Alignment(40.0, -25.0, 0.2, 1.0, 1023.5, 1023.5, 0, 0)
    found = align(star_list(xy, np.array([3.0, 2, 1])), star_list(truth.to_frame(xy), np.array([3.0, 2, 1])), LARGE)
    assert found.matches == 3
    assert worst_error(found, truth, LARGE) < 0.01


def test_two_stars_give_the_shift_alone(rng: np.random.Generator) -> None:
    xy = np.array([[300.0, 1700], [1500, 400]])
    found = align(star_list(xy, np.array([2.0, 1])), star_list(xy + np.array([40, -30]), np.array([2.0, 1])), LARGE)
    assert (found.dx, found.dy, found.rotation, found.scale) == pytest.approx((40, -30, 0, 1))
    assert found.matches == 2


def test_a_lone_star_gives_the_shift_if_it_can_be_the_same() -> None:
    one, other = star_list(np.array([[300.0, 200]]), np.array([1000.0])), np.array([[310.0, 190]])
    found = align(one, star_list(other, np.array([900.0])), SMALL)
    assert (found.dx, found.dy, found.matches) == (10, -10, 1)
    with pytest.raises(UnusableDataError, match="flux ratio 20"):
        align(one, star_list(other, np.array([20000.0])), SMALL)


@pytest.mark.parametrize("number", [0, 1, 2, 5, 10, 40, 300, 1500])
@pytest.mark.parametrize("shape", [LARGE, SMALL])
def test_unrelated_lists_are_refused_with_their_counts(
    rng: np.random.Generator, number: int, shape: tuple[int, int]
) -> None:
    for _ in range(3):
        lists = [
            star_list(rng.uniform(0, 1, (n, 2)) * shape[::-1], 10 ** rng.uniform(2, 5, n)) for n in (number + 1, number)
        ]
        if number == 0:
            lists[0] = np.concatenate([lists[0]] * 2)
        with pytest.raises(UnusableDataError, match=rf"{len(lists[1])} stars with the reference's {len(lists[0])}"):
            align(lists[0], lists[1], shape)


def test_stars_without_a_position_are_left_out(rng: np.random.Generator) -> None:
    reference, frame = Case(100, SMALL, (20, 10)).lists(rng)
    frame["x"][3] = np.nan
    assert worst_error(align(reference, frame, SMALL), Case(100, SMALL, (20, 10)).truth, SMALL) < 0.3


def test_faint_stars_and_blends_hardly_pull_at_the_fit(rng: np.random.Generator) -> None:
    """Half of the stars scatter ten times as much as the others, and each tenth is joined with a neighbour."""
    ny, nx = SMALL
    truth = Alignment(12.0, -7.0, 0.3, 1.0, (nx - 1) / 2, (ny - 1) / 2, 0, 0)
    sharp, errors = [], []
    for _ in range(10):
        sky = rng.uniform(30, 470, (150, 2))
        flux = np.sort(10 ** rng.uniform(2.5, 5, len(sky)))[::-1]
        noise = np.where(np.arange(len(sky)) < 75, 0.02, 0.2)[:, None]
        seen = truth.to_frame(sky) + noise * rng.normal(size=sky.shape)
        clean = align(star_list(sky[:75], flux[:75]), star_list(seen[:75], flux[:75]), SMALL)
        seen[::10] += rng.choice([-0.7, 0.7], (15, 2))
        every = align(star_list(sky, flux), star_list(seen, flux), SMALL)
        sharp.append(worst_error(clean, truth, SMALL))
        errors.append(worst_error(every, truth, SMALL))
    assert np.median(errors) < 2.5 * np.median(sharp), "of the fit to the sharp stars alone"


def test_rms_and_matches_are_those_of_the_stars_that_the_fit_used(rng: np.random.Generator) -> None:
    """A blend 1.2 px off is matched, has no weight, and tells nothing of the alignment: 0.7 px by plain rms."""
    xy = rng.uniform(30, 470, (12, 2))
    flux = np.linspace(12.0, 1, 12)
    seen = xy + np.array([5.0, 3.0]) + rng.normal(0, 0.03, xy.shape)
    seen[[3, 8]] += (0.0, 1.2)
    found = align(star_list(xy, flux), star_list(seen, flux), SMALL)
    assert found.matches == 10
    assert found.rms == pytest.approx(0.03 * np.sqrt(2), rel=0.5)


@pytest.mark.parametrize("stars", [4, 7])
def test_one_wrong_match_bends_no_fit_of_few_stars(rng: np.random.Generator, stars: int) -> None:
    """A hot pixel that the drift brings beside a star's old place, in a window of the detector."""
    shape = (64, 520)
    xy = np.column_stack([np.linspace(20, 500, stars), np.tile([12.0, 50.0], stars)[:stars]])
    seen = xy + np.array([8.0, -4.0]) + rng.normal(0, 0.02, xy.shape)
    hot = np.array([[260.0, 30.0]])
    flux = np.append(np.full(stars, 1e4), 3e3)
    frame = star_list(np.concatenate([seen, hot + np.array([8.9, -4.9])]), flux)
    found = align(star_list(np.concatenate([xy, hot]), flux), frame, shape)
    assert found.matches == stars
    assert worst_error(found, Alignment(8.0, -4.0, 0.0, 1.0, 259.5, 31.5, 0.0, stars), shape) < 0.1
