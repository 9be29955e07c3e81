"""Hot pixels and cosmic rays are found; stars, however sharp, never."""

import numpy as np
import pytest

from pipeline.frame.bad_pixels import find_sharp_pixels, pair_contrast, ring_contrast
from tests.unit.pipeline.star_fields import make_field, noiseless


@pytest.mark.parametrize("fwhm", [1.5, 1.8, 2.5, 4.0, 8.0])
def test_no_star_loses_a_pixel(rng: np.random.Generator, fwhm: float) -> None:
    field = make_field(rng, (400, 400), stars=250, flux=10 ** rng.uniform(2.5, 6, 250), fwhm=fwhm)
    assert not find_sharp_pixels(field.image, field.rms).any()


def test_trailed_stars_keep_their_pixels(rng: np.random.Generator) -> None:
    field = make_field(rng, (400, 400), stars=100, fwhm=1.6, ratio=3.0)
    assert not find_sharp_pixels(field.image, field.rms).any()
    assert not find_sharp_pixels(np.ascontiguousarray(field.image.T), field.rms).any()


@pytest.mark.parametrize(("fwhm", "sigmas"), [(1.5, 14.0), (2.5, 9.0)])
def test_lone_hot_pixels_among_stars(rng: np.random.Generator, fwhm: float, sigmas: float) -> None:
    field = make_field(rng, (400, 400), stars=80, fwhm=fwhm)
    y, x = rng.integers(1, 399, (2, 300))
    clear = np.hypot(x[:, None] - field.xy[:, 0], y[:, None] - field.xy[:, 1]).min(axis=1) > 5 * fwhm
    field.image[y[clear], x[clear]] += sigmas * field.rms
    bad = find_sharp_pixels(field.image, field.rms)
    assert bad[y[clear], x[clear]].mean() > 0.95
    bad[y[clear], x[clear]] = False
    assert not bad.any()


def test_hot_pixels_on_the_wings_of_stars(rng: np.random.Generator) -> None:
    field = make_field(rng, (300, 300), stars=60, fwhm=3.0, flux=np.full(60, 2e4))
    x, y = np.rint(field.xy).astype(int).T + np.array([[4], [1]])
    field.image[y, x] += 3000
    assert find_sharp_pixels(field.image, field.rms)[y, x].mean() > 0.95


@pytest.mark.parametrize(
    "track",
    [
        pytest.param([(0, 0), (0, 1)], id="pair in a row"),
        pytest.param([(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)], id="column"),
        pytest.param([(i, i) for i in range(8)], id="diagonal"),
        pytest.param([(0, 0), (0, 1), (1, 2), (1, 3), (2, 4), (2, 5)], id="cosmic ray"),
        pytest.param([(0, 0), (0, 1), (1, 0)], id="corner"),
    ],
)
def test_short_tracks(rng: np.random.Generator, track: list[tuple[int, int]]) -> None:
    field = make_field(rng, (120, 120), stars=0)
    rows, columns = np.array(track).T + 60
    field.image[rows, columns] += rng.uniform(400, 900, rows.size)
    assert find_sharp_pixels(field.image, field.rms)[rows, columns].all()


def test_the_edge_and_dead_neighbours_are_no_ground(rng: np.random.Generator) -> None:
    xy = np.array([[0.0, 50.0], [60.0, 99.0], [30.0, 30.0]])
    field = make_field(rng, (100, 100), xy=xy, flux=np.full(3, 3e4), fwhm=1.6)
    field.image[:, 31] = -500  # a dead column beside the third star
    field.image[28:33, 31] = np.nan
    assert not find_sharp_pixels(field.image, field.rms).any()


def test_a_flat_or_empty_image_has_none() -> None:
    assert not find_sharp_pixels(np.zeros((10, 10), np.float32), 0.0).any()
    assert not find_sharp_pixels(np.full((10, 10), np.nan, np.float32), 1.0).any()
    assert find_sharp_pixels(np.ones((1, 5), np.float32), 0.1).shape == (1, 5)


@pytest.mark.parametrize("fwhm", [1.5, 2.5, 5.0])
def test_contrasts_are_those_of_a_rendered_star(fwhm: float) -> None:
    star = noiseless((41, 41), np.array([[20.0, 20.0]]), np.array([1.0]), fwhm)
    assert pair_contrast(fwhm) == pytest.approx(star[20, 20] / star[20, 21], rel=1e-6)
    ring = (star[19:22, 19:22].sum() - star[20, 20]) / 8
    assert ring_contrast(fwhm) == pytest.approx(star[20, 20] / ring, rel=1e-6)
