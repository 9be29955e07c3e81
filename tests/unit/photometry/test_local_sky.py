from collections.abc import Callable

import numpy as np
import pytest

from pipeline.aperture.local_sky import (
    FEWEST_LEVELS,
    MIN_SKY_PIXELS,
    LocalSky,
    draw_to_frame,
    local_sky,
    neighbour_mask,
    with_frame_levels,
)

SHAPE = (500, 500)
ANNULUS = (12.0, 18.3)
MOST_BIAS = 0.02  # of the noise of a sky pixel
RMS, PIXELS = 8.0, 600
ANNULUS_NOISE = RMS / np.sqrt(PIXELS)  # of the mean of an annulus


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


def levels_of(true: np.ndarray, seed: int) -> LocalSky:
    """Annuli as measured beside stars where the sky is known."""
    level = true + np.random.default_rng(seed).normal(0.0, ANNULUS_NOISE, true.size)
    pixels = np.full(true.size, PIXELS)
    return LocalSky(level, np.full(true.size, RMS), pixels, pixels.astype(np.float64))


@pytest.mark.parametrize("unevenness", [0.3, 1.0, 3.0])
def test_levels_drawn_to_the_frame_err_as_the_best_estimate_does(unevenness: float) -> None:
    """Of two Gaussians: the error of the weighted mean of a level and of what is usual; and that is what is quoted."""
    true = 5.0 + np.random.default_rng(4).normal(0.0, unevenness * ANNULUS_NOISE, 4000)
    found = draw_to_frame(levels_of(true, 5))
    best = ANNULUS_NOISE * unevenness / np.hypot(1.0, unevenness)
    assert np.std(found.level - true) == pytest.approx(best, rel=0.06)
    assert np.sqrt(np.mean(found.rms**2 / found.worth)) == pytest.approx(best, rel=0.12)
    assert abs(np.mean(found.level - true)) < 0.05 * ANNULUS_NOISE


@pytest.mark.parametrize("stars", [FEWEST_LEVELS, 2000])
def test_of_an_even_sky_all_annuli_tell_the_level_together(stars: int) -> None:
    errors = [np.std(draw_to_frame(levels_of(np.zeros(stars), seed)).level) for seed in range(50)]
    assert np.mean(errors) < 0.35 * ANNULUS_NOISE


def test_a_nebula_beside_one_star_is_believed() -> None:
    true = np.zeros(500)
    true[[7, 8, 9]] = np.array([8.0, -8.0, 300.0]) * ANNULUS_NOISE
    plain = levels_of(true, 6)
    found = draw_to_frame(plain)
    np.testing.assert_allclose(found.level[7:10], plain.level[7:10], atol=1.5 * ANNULUS_NOISE)
    np.testing.assert_allclose(found.worth[7:10], PIXELS, rtol=0.25)


@pytest.mark.parametrize("stars", [5, 400])
def test_where_no_sky_is_seen_the_others_levels_stand_with_what_they_differ_by(stars: int) -> None:
    """A tenth of the annuli are lost; what their levels are off is quoted, never less than 30 pixels' noise."""
    true = 5.0 + np.random.default_rng(9).normal(0.0, 10.0 * ANNULUS_NOISE, stars)
    measured = levels_of(true, 10)
    lost = np.arange(stars) % 10 == 0
    gaps = np.where(lost, np.nan, measured.level), np.where(lost, np.nan, RMS)
    found = with_frame_levels(LocalSky(*gaps, np.where(lost, 0, PIXELS), np.where(lost, 0.0, PIXELS)), 2 * RMS)
    np.testing.assert_array_equal(found.level[~lost], measured.level[~lost])
    assert (found.rms == RMS).all()
    quoted = RMS / np.sqrt(found.worth[lost])
    if stars < FEWEST_LEVELS:
        np.testing.assert_allclose(quoted, RMS / np.sqrt(MIN_SKY_PIXELS))
    else:
        assert np.std(found.level[lost] - true[lost]) == pytest.approx(quoted[0], rel=0.35)  # of 40 values
        assert abs(np.mean(found.level[lost] - true[lost])) < 0.5 * quoted[0]


def test_few_levels_stay_as_they_are_and_missing_ones_count_for_nothing() -> None:
    few = levels_of(np.zeros(FEWEST_LEVELS - 1), 7)
    assert draw_to_frame(few) is few
    many = levels_of(np.zeros(100), 8)
    expected = draw_to_frame(many)
    gap = np.array([np.nan]), np.array([np.nan]), np.array([0]), np.array([0.0])
    fields = (many.level, many.rms, many.pixels, many.worth)
    found = draw_to_frame(LocalSky(*(np.append(field, nothing) for field, nothing in zip(fields, gap, strict=True))))
    np.testing.assert_array_equal(found.level[:-1], expected.level)
    assert np.isnan(found.level[-1])
