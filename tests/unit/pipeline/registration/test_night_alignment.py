"""Nights of star lists whose alignments are known: what is kept, found again and refused."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.registration.alignment import Alignment, align
from pipeline.registration.night_alignment import Judged, align_night, contradicting
from tests.unit.pipeline.star_fields import star_list

NARROW, WIDE = (64, 520), (500, 650)
FRAMES = 60
REFERENCE = FRAMES // 2
WRONG_PX = 1.5


@dataclass(frozen=True)
class Night:
    """Star lists, the truth of each frame, and how many true stars each list has."""

    shape: tuple[int, int]
    sky: NDArray[np.float64]
    lists: list[NDArray[Any]]
    truth: list[Alignment]
    seen: list[int]

    def alone(self) -> list[Alignment | None]:
        return [
            Alignment.identity(self.shape) if number == REFERENCE else self._alone(stars)
            for number, stars in enumerate(self.lists)
        ]

    def _alone(self, stars: NDArray[Any]) -> Alignment | None:
        try:
            return align(self.lists[REFERENCE], stars, self.shape)
        except UnusableDataError:
            return None

    def judged(self, alone: list[Alignment | None] | None = None) -> list[Judged]:
        alone = self.alone() if alone is None else alone
        counts = [len(stars) for stars in self.lists]
        return align_night(alone, counts, self.lists[REFERENCE], self.lists.__getitem__, self.shape)

    def off(self, number: int, found: Alignment) -> float:
        return float(np.median(np.hypot(*(found.to_frame(self.sky) - self.truth[number].to_frame(self.sky)).T)))


def make_night(
    rng: np.random.Generator,
    stars: int,
    shape: tuple[int, int] = NARROW,
    *,
    hot: int = 4,
    drift: float = 0.3,
    turn: float = 0.0,
    moves: NDArray[np.float64] | None = None,
) -> Night:
    """Frames that drift and turn, by px and degrees each; ``moves``: float64[FRAMES, 2], px, besides. Clouds pass."""
    ny, nx = shape
    sky = rng.uniform(0.1, 0.9, (stars, 2)) * (nx, ny)
    flux = 10 ** rng.uniform(3.3, 5, stars)
    place, brightness = rng.uniform(0, 1, (hot, 2)) * (nx - 1, ny - 1), 10 ** rng.uniform(2.8, 4.2, hot)
    time = np.arange(FRAMES) - REFERENCE
    shift = np.outer(time, [drift, -0.3 * drift]) + rng.normal(0, 0.2, (FRAMES, 2)) + (0 if moves is None else moves)
    shift -= shift[REFERENCE]
    clouds = 1 - 0.97 * np.exp(-np.square((time - 14) / 5.0)) - 0.6 * np.exp(-np.square((time + 18) / 4.0))
    lists, truth, seen = [], [], []
    for number in range(FRAMES):
        true = Alignment(*shift[number].tolist(), turn * float(time[number]), 1.0, (nx - 1) / 2, (ny - 1) / 2, 0, 0)
        xy, light = true.to_frame(sky), flux * clouds[number]
        shown = ((xy > 2) & (xy < (nx - 3, ny - 3))).all(axis=1) & (light > 700)
        error = 0.05 * (1 + 1500 / light[shown])[:, None] * rng.normal(size=(shown.sum(), 2))
        warm, cosmic = rng.random(hot) < 0.7, rng.random() < 0.4
        places = [xy[shown] + error, place[warm] + rng.normal(0, 0.03, (warm.sum(), 2))]
        fluxes = [light[shown], brightness[warm]]
        if cosmic:
            places.append(rng.uniform(0, 1, (1, 2)) * (nx, ny))
            fluxes.append(10 ** rng.uniform(3, 4.5, 1))
        both = np.concatenate(fluxes)
        lists.append(star_list(np.concatenate(places), both * np.exp(rng.normal(0, 0.05, both.size))))
        truth.append(true)
        seen.append(int(shown.sum()))
    return Night(shape, sky, lists, truth, seen)


def lost_and_wrong(night: Night, judged: list[Judged]) -> tuple[list[int], list[int]]:
    """Frames that show a star and are not believed, and frames that are believed and wrong."""
    lost, wrong = [], []
    for number, one in enumerate(judged):
        if one.reason or one.alignment is None:
            lost += [number] * (night.seen[number] > 0)
        elif night.off(number, one.alignment) > WRONG_PX:
            wrong.append(number)
    return lost, wrong


@pytest.mark.parametrize(
    ("stars", "hot", "most_lost"),
    [(1, 0, 0), (2, 0, 0), (3, 0, 1), (2, 4, 2), (3, 4, 1), (4, 4, 1), (5, 4, 1), (8, 4, 1)],
)
def test_sparse_fields_lose_no_frame_that_shows_a_star(
    rng: np.random.Generator, stars: int, hot: int, most_lost: int
) -> None:
    """Where a cloud leaves none, one detection in fifty lies by chance where a star was expected."""
    night = make_night(rng, stars, hot=hot)
    lost, wrong = lost_and_wrong(night, night.judged())
    assert len(lost) <= most_lost
    assert len(wrong) <= 1


def test_a_field_that_turns_by_tens_of_degrees_is_followed(rng: np.random.Generator) -> None:
    night = make_night(rng, 30, WIDE, turn=0.6)
    alone = night.alone()
    assert sum(one is None for one in alone) > FRAMES / 2
    assert lost_and_wrong(night, night.judged(alone)) == ([], [])


@pytest.mark.parametrize("kind", ["dithers", "a new pointing"])
def test_honest_moves_are_kept(rng: np.random.Generator, kind: str) -> None:
    moves = rng.uniform(-30, 30, (FRAMES, 2)) * (1, 0.3)
    if kind == "a new pointing":
        moves = np.where(np.arange(FRAMES)[:, None] > 20, (60.0, -9.0), 0.0)
    night = make_night(rng, 6, hot=2, moves=moves)
    lost, wrong = lost_and_wrong(night, night.judged())
    assert len(lost) <= 3
    assert not wrong


def test_a_flip_and_a_lone_far_frame_are_proven_by_their_stars(rng: np.random.Generator) -> None:
    moves = np.zeros((FRAMES, 2))
    moves[20] = 150, -90
    night = make_night(rng, 40, WIDE, moves=moves)
    alone = [None if number in range(40, 55) else one for number, one in enumerate(night.truth)]
    flipped = [
        None if one is None else Alignment(-one.dx, -one.dy, 180.0 if n > 50 else 0.0, 1.0, 324.5, 249.5, 0.1, 20)
        for n, one in enumerate(alone)
    ]
    judged = night.judged(flipped)
    for number in (20, 55, 56, 59):
        assert judged[number].alignment == flipped[number]
        assert not judged[number].reason


def test_a_chance_match_of_three_stars_gives_way_to_the_stars_that_are_there(rng: np.random.Generator) -> None:
    night = make_night(rng, 4, hot=0)
    alone = night.alone()
    alone[8] = Alignment(3.0, 2.0, -1.6, 1.0, 259.5, 31.5, 0.2, 3)
    one = night.judged(alone)[8]
    assert one.renewed
    assert one.alignment is not None
    assert night.off(8, one.alignment) < 0.5


def test_a_frame_of_another_field_is_refused(rng: np.random.Generator) -> None:
    night, other = make_night(rng, 5, hot=0), make_night(rng, 5, hot=0)
    night.lists[8] = other.lists[8]
    alone = night.alone()
    assert night.judged(alone)[8].reason.startswith("neither its stars nor its neighbours")
    alone[8] = Alignment(150.0, 12.0, 1.2, 1.0, 259.5, 31.5, 0.2, 3)
    assert night.judged(alone)[8].reason.startswith(
        "alignment by 3 stars (shift 150.0, 12.0 px, rotation 1.20 degrees)"
    )
    counts = [len(stars) for stars in night.lists]
    assert [number for number, no in enumerate(contradicting(alone, counts, NARROW)) if no] == [8]
