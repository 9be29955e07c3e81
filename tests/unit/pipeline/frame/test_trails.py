"""Trails are found and followed; stars, spikes, bleeding columns, galaxies and bad columns are none."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frame.stars import find_stars, frame_fwhm
from pipeline.frame.trail_following import Trail
from pipeline.frame.trails import find_trails
from pipeline.trials.simulation.star_stamps import draw_stars

SIZE = 640
FWHM = 3.0
SKY = 150.0  # electrons, of gain 1
RMS = float(np.sqrt(SKY))

Image = NDArray[np.float32]


def _stars(rng: np.random.Generator, number: int) -> Image:
    x, y = rng.uniform(-10, SIZE + 10, (2, number))
    return draw_stars((SIZE, SIZE), x, y, np.minimum(10 ** (3 + rng.exponential(0.7, number)), 1e6), FWHM, 3.0)


def _line(angle: float, x: float, y: float, *, length: float = 1e4, bend: float = 0.0) -> Image:
    """A profile of height 1, bent by ``bend`` px in px²."""
    v, u = np.indices((SIZE, SIZE), dtype=np.float64)
    along = (u - x) * np.cos(angle) + (v - y) * np.sin(angle)
    across = (v - y) * np.cos(angle) - (u - x) * np.sin(angle) - bend * along**2
    profile = np.exp(-0.5 * (across * 2.3548 / FWHM) ** 2) * (np.abs(along) < length / 2)
    return np.asarray(profile, np.float32)


def _found(expected: Image, rng: np.random.Generator, saturated: NDArray[np.bool_] | None = None) -> list[Trail]:
    sky = np.float32(SKY)
    noise = rng.standard_normal(expected.shape, dtype=np.float32) * np.sqrt(expected + sky)
    image = (expected + noise).astype(np.float32)
    stars = find_stars(image, RMS)
    full = np.flatnonzero(np.zeros(0) if saturated is None else saturated)
    return find_trails(image, RMS, stars, frame_fwhm(stars), full)


def _mask(trails: list[Trail]) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE * SIZE, np.bool_)
    for trail in trails:
        mask[trail.pixels((SIZE, SIZE))] = True
    return mask.reshape(SIZE, SIZE)


@pytest.mark.parametrize(
    ("height", "length", "bend"),
    [
        pytest.param(1.0, 1e4, 0.0, id="faint"),
        pytest.param(2.0, 300.0, 0.0, id="short"),
        pytest.param(3.0, 1e4, 3e-5, id="bent"),
        pytest.param(20.0, 1e4, 0.0, id="bright"),
        pytest.param(150.0, 1e4, 0.0, id="very bright"),
    ],
)
def test_trails_among_stars(rng: np.random.Generator, height: float, length: float, bend: float) -> None:
    """At least 19 of 20 are covered where they are over a third of the sky's noise, and little else is."""
    found = 0
    for _ in range(20):
        profile = _line(rng.uniform(0, np.pi), *rng.uniform(230, 410, 2), length=length, bend=bend)
        mask = _mask(_found(_stars(rng, 130) + profile * np.float32(height * RMS), rng))
        seen = profile * height > 0.3
        found += bool(mask[seen].mean() > 0.9)
        assert mask.sum() < 3 * np.count_nonzero(profile * height > 0.1)
    assert found >= 19


def test_several_trails_of_one_frame(rng: np.random.Generator) -> None:
    lines = [_line(0.3, 320, y) for y in (150, 320, 480)] + [_line(2.0, 300, 300)]
    trails = _found(_stars(rng, 100) + np.float32(5 * RMS) * np.maximum.reduce(lines), rng)
    assert len(trails) == 4
    assert all(_mask(trails)[line > 0.3].mean() > 0.9 for line in lines)


@pytest.mark.parametrize("number", [0, 20, 130, 1000])
def test_clean_frames_have_none(rng: np.random.Generator, number: int) -> None:
    assert not any(_found(_stars(rng, number), rng) for _ in range(10))


def test_spikes_and_bleeding_columns_are_no_trails(rng: np.random.Generator) -> None:
    y, x = np.indices((SIZE, SIZE), dtype=np.float32)
    for _ in range(10):
        at = rng.uniform(200, 440, 2)
        expected = _stars(rng, 100)
        expected += draw_stars(expected.shape, at[:1], at[1:], np.array([5e6]), FWHM, 3.0)
        angle = rng.uniform(0, np.pi / 2)
        distance = np.hypot(x - at[0], y - at[1])
        for arm in (angle, angle + np.pi / 2):
            expected += _line(arm, *at) * 3e6 / (100 + distance**2)
        top = int(at[1])
        expected[top - 150 : top + 150, int(at[0]) : int(at[0]) + 2] = 7e4
        saturated = expected >= 6e4
        assert not _found(np.minimum(expected, np.float32(6e4)), rng, saturated)


def test_galaxies_and_bad_columns_are_no_trails(rng: np.random.Generator) -> None:
    for _ in range(10):
        expected, angle, at = _stars(rng, 100), rng.uniform(0, np.pi), rng.uniform(200, 440, 2)
        y, x = np.indices((SIZE, SIZE), dtype=np.float32) - at[::-1, None, None].astype(np.float32)
        u, v = np.abs(x * np.cos(angle) + y * np.sin(angle)), np.abs(y * np.cos(angle) - x * np.sin(angle))
        expected += np.float32(20 * RMS) * np.exp(-u / 40 - v / 6).astype(np.float32)
        expected[:, 77] += np.float32(2 * RMS)
        assert not _found(expected, rng)


def test_masked_pixels_and_empty_frames(rng: np.random.Generator) -> None:
    image = rng.normal(0, RMS, (SIZE, SIZE)).astype(np.float32)
    none = find_stars(image, RMS)[:0]
    image[:, 100:140] = np.nan
    assert find_trails(image, RMS, none, FWHM) == []
    assert find_trails(np.full((SIZE, SIZE), np.nan, np.float32), RMS, none, FWHM) == []
    assert find_trails(image, RMS, none, float("nan")) == []
    assert find_trails(image[:50, :50], RMS, none, FWHM) == []
    crossed = image + np.float32(4 * RMS) * _line(0.7, 320, 320)
    assert len(find_trails(crossed, RMS, none, FWHM)) == 1
