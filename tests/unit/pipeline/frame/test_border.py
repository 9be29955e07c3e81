"""Borders that answer unlike the rest are masked; gradients, stars and halos at a border are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frame.border import mask_odd_borders

RMS = 8.0


def noise(rng: np.random.Generator, shape: tuple[int, int] = (300, 400)) -> NDArray[np.float32]:
    return rng.normal(0.0, RMS, shape).astype(np.float32)


def test_a_read_out_ramp_of_a_real_camera_is_masked(rng: np.random.Generator) -> None:
    image = noise(rng)
    image[:8] += np.array([-64, -33, -19, -12, -7, -4.8, -3, -1.9])[:, None]
    mask = mask_odd_borders(image, RMS)
    assert mask is not None
    rows = np.flatnonzero(mask.all(axis=1))
    assert rows.tolist() == list(range(rows.size))
    assert 5 <= rows.size <= 7
    assert not mask[rows.size :].any()


@pytest.mark.parametrize("side", ["low", "high", "left", "right"])
def test_overscan_that_was_left_in_is_masked(rng: np.random.Generator, side: str) -> None:
    image = noise(rng)
    strip = {"low": np.s_[:5], "high": np.s_[-5:], "left": np.s_[:, :5], "right": np.s_[:, -5:]}[side]
    image[strip] -= 400.0
    mask = mask_odd_borders(image, RMS)
    expected = np.zeros(image.shape, bool)
    expected[strip] = True
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize("shape", [(300, 400), (64, 520), (2048, 2048)])
def test_an_even_border_is_left_alone(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    assert mask_odd_borders(noise(rng, shape), RMS) is None


def test_a_gradient_of_the_sky_is_no_step(rng: np.random.Generator) -> None:
    y, x = np.indices((300, 400))
    slope = 0.05 * (y[::-1] - 150) + 0.05 * (x - 200)  # ADU a pixel: 1 ADU across the rows that are compared
    assert mask_odd_borders((noise(rng) + slope).astype(np.float32), RMS) is None


def test_a_halo_at_the_border_of_a_window_is_none_of_the_detectors(rng: np.random.Generator) -> None:
    y, x = np.indices((64, 520))
    halo = 3000.0 / (1 + np.hypot(x - 4, y - 30) / 3) ** 2.5
    assert mask_odd_borders((noise(rng, (64, 520)) + halo).astype(np.float32), RMS) is None


def test_unknown_rows_decide_nothing(rng: np.random.Generator) -> None:
    image = noise(rng)
    image[:3] = np.nan
    assert mask_odd_borders(image, RMS) is None
