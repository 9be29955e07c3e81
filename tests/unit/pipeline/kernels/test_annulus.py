"""Pixels of stars, and clipped means around places."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.kernels import annulus
from pipeline.kernels.annulus import (
    annulus_means,
    annulus_means_reference,
    bright_runs,
    bright_runs_reference,
    star_pixels,
    star_pixels_reference,
)
from pipeline.stamps import ring_offsets

SHAPE = (90, 131)
NOISE = 10.0


@pytest.fixture
def image(rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise with some pixels far above it."""
    values = rng.normal(100, NOISE, SHAPE)
    values[rng.random(SHAPE) < 0.02] += 1000
    return values.astype(np.float32)


@pytest.mark.parametrize("half_width", [0, 1, 4, 90])
def test_pixels_of_stars_are_those_of_numpy(
    image: NDArray[np.float32], half_width: int, rng: np.random.Generator
) -> None:
    places = rng.integers(0, SHAPE, (3, 2))
    image[-1, -1], image[0, 60:100] = 2000, 2000
    image = image[:, : 131 - half_width // 4].copy()
    runs, _ = bright_runs(image, 1000.0)
    args = image, runs[1:], np.minimum(places, 80), 1500.0, half_width
    np.testing.assert_array_equal(star_pixels(*args), star_pixels_reference(*args))


@pytest.mark.parametrize("room", [1, 1 << 15])
@pytest.mark.parametrize("limit", [-np.inf, 110.0, 1000.0, np.inf])
@pytest.mark.parametrize("width", [1, 31, 64, 131])
def test_runs_are_those_of_numpy(
    image: NDArray[np.float32],
    limit: float,
    width: int,
    room: int,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(annulus, "EXPECTED_RUNS", room)
    image[rng.random(SHAPE) < 0.03] = np.nan
    image[5, :70] = np.nan
    image = image[:, :width].copy()
    for found, expected in zip(bright_runs(image, limit), bright_runs_reference(image, limit), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("inner", "outer"), [(0.0, 1.0), (3.0, 4.5), (8.0, 16.0)])
@pytest.mark.parametrize("left_out_share", [0.0, 0.3, 0.98])
def test_means_are_those_of_numpy_inside_and_at_borders(
    image: NDArray[np.float32], inner: float, outer: float, left_out_share: float, rng: np.random.Generator
) -> None:
    places = rng.integers(-10, np.add(SHAPE, 10), (200, 2))
    left_out = (rng.random(SHAPE) < left_out_share).astype(np.uint8) * np.uint8(4)
    image[rng.random(SHAPE) < 0.01] = np.nan
    args = image, places, ring_offsets(inner, outer).pairs, left_out, NOISE
    (level, rms, counts), expected = annulus_means(*args), annulus_means_reference(*args)
    np.testing.assert_array_equal(counts, expected[2])
    np.testing.assert_allclose(level, expected[0], atol=1e-4 * NOISE)  # sums in float32
    np.testing.assert_allclose(rms, expected[1], atol=1e-4 * NOISE)


def test_a_star_in_the_annulus_changes_nothing(rng: np.random.Generator) -> None:
    image = rng.normal(0, NOISE, SHAPE).astype(np.float32)
    image[40:46, 60:66] += 1e5
    level, rms, counts = annulus_means(
        image, np.array([[45, 50]]), ring_offsets(6.0, 20.0).pairs, np.zeros(SHAPE, np.uint8), NOISE
    )
    assert abs(level[0]) < 4 * NOISE / np.sqrt(counts[0])
    assert rms[0] == pytest.approx(NOISE, rel=4 / np.sqrt(2 * counts[0]))
