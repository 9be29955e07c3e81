from collections.abc import Callable

import numpy as np
import pytest

from pipeline.local_sky import LocalSky, local_sky, neighbour_mask

SHAPE = (500, 500)
ANNULUS = (12.0, 18.3)
MOST_BIAS = 0.02  # of the noise of a sky pixel


def sky_of(image: np.ndarray, xy: np.ndarray, rms: float, third_moment: float = 0.0) -> LocalSky:
    return local_sky(
        image,
        xy,
        ANNULUS,
        unusable=None,
        neighbours=neighbour_mask(image, xy, rms, 3),
        background_rms=rms,
        third_moment=third_moment,
    )


@pytest.mark.parametrize(("sky", "read_noise"), [(1000.0, 5.0), (10.0, 0.5), (5.0, 1.0)])
def test_few_photons_do_not_bias_the_level(star_image: Callable, sky: float, read_noise: float) -> None:
    levels = []
    rms = np.hypot(np.sqrt(sky), read_noise)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        xy = rng.uniform(20.0, 480.0, (300, 2))
        image = star_image(rng, SHAPE, xy[:0], np.empty(0), sky=sky, read_noise=read_noise)
        levels.append(sky_of(image, xy, rms, sky).level)
    assert abs(np.mean(levels)) < 0.5 * MOST_BIAS * rms


@pytest.mark.parametrize("stars", [100, 300, 800])
def test_neighbours_of_any_brightness_do_not_bias_the_level(star_image: Callable, stars: int) -> None:
    levels, sigmas = [], []
    rms = np.hypot(10.0, 5.0)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        xy = rng.uniform(20.0, 480.0, (stars, 2))
        image = star_image(rng, SHAPE, xy, 10 ** rng.uniform(2.5, 5.0, stars))
        found = sky_of(image, xy, rms, 100.0)
        levels.append(found.level)
        sigmas.append(found.rms)
    assert abs(np.mean(np.concatenate(levels))) < MOST_BIAS * rms
    assert np.mean(np.concatenate(sigmas)) == pytest.approx(rms, rel=0.02)


def test_the_level_scatters_as_the_mean_of_its_pixels(star_image: Callable, grid_positions: Callable) -> None:
    rng = np.random.default_rng(1)
    xy = grid_positions(rng, (1200, 1200), 38)
    image = star_image(rng, (1200, 1200), xy[:0], np.empty(0))
    found = sky_of(image, xy, np.sqrt(125.0), 100.0)
    assert np.std(found.level) == pytest.approx(np.mean(found.rms / np.sqrt(found.pixels)), rel=0.08)


def test_cosmic_rays_are_clipped(star_image: Callable) -> None:
    rng = np.random.default_rng(2)
    xy = rng.uniform(30.0, 470.0, (200, 2))
    image = star_image(rng, SHAPE, xy[:0], np.empty(0))
    image[rng.random(SHAPE) < 0.003] += 60.0
    assert abs(np.mean(sky_of(image, xy, np.sqrt(125.0), 100.0).level)) < MOST_BIAS * np.sqrt(125.0)


def test_inside_a_nebula_the_level_is_that_of_the_nebula(star_image: Callable) -> None:
    rng = np.random.default_rng(3)
    xy = rng.uniform(150.0, 350.0, (40, 2))
    image = star_image(rng, SHAPE, xy[:0], np.empty(0))
    image[100:400, 100:400] += 200.0
    found = sky_of(image, xy, np.sqrt(125.0))
    np.testing.assert_allclose(found.level, 200.0, atol=5 * np.sqrt(125.0 / 500.0))


def test_no_usable_pixel_is_no_sky() -> None:
    image = np.full((60, 60), np.nan, dtype=np.float32)
    found = local_sky(
        image,
        np.array([[30.0, 30.0]]),
        ANNULUS,
        unusable=np.isnan(image),
        neighbours=np.zeros(image.shape, dtype=bool),
        background_rms=1.0,
    )
    assert found.pixels[0] == 0
    assert np.isnan(found.level[0])


def test_the_mask_covers_sources_and_bright_pixels_and_does_not_wrap() -> None:
    image = np.zeros((40, 40), dtype=np.float32)
    image[0, 39] = 100.0
    mask = neighbour_mask(image, np.array([[10.4, 20.0], [-30.0, 5.0]]), 1.0, 3)
    expected = np.zeros_like(mask)
    expected[17:24, 7:14] = True
    expected[0:4, 36:40] = True
    np.testing.assert_array_equal(mask, expected)
