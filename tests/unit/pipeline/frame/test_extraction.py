"""Detections near masked pixels: stars stay, what was filled in is none."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frame.extraction import extract
from pipeline.stack.detection import detect_sources
from pipeline.stack.stacking import Stack
from tests.unit.pipeline.star_fields import noiseless

STARS = np.array([(130.0, 140.0), (170.0, 160.0), (150.0, 175.0)])
FLUX = np.array([2.7e4, 1.8e4, 7.2e3])  # peaks of 3000, 2000 and 800 sigma


def _halo(rng: np.random.Generator) -> NDArray[np.float32]:
    """Three stars on the halo, 30 sigma high, of something large; noise 1."""
    y, x = np.mgrid[:300, :300]
    image = noiseless((300, 300), STARS, FLUX, 2.8) + rng.normal(0, 1, (300, 300))
    return np.asarray(image + 30 * np.exp(-((x - 150) ** 2 + (y - 150) ** 2) / (2 * 40.0**2)), np.float32)


def _found(objects: NDArray[np.void]) -> NDArray[np.bool_]:
    distance = np.hypot(objects["x"][:, None] - STARS[:, 0], objects["y"][:, None] - STARS[:, 1])
    return np.asarray(distance.min(axis=0, initial=np.inf) < 1.5)


@pytest.mark.parametrize("noise_map", [False, True])
def test_masked_pixels_of_a_halo_hide_no_star(rng: np.random.Generator, noise_map: bool) -> None:
    image, mask = _halo(rng), np.zeros((300, 300), np.bool_)
    mask[120, 150] = True  # one pixel, 20 px from the nearest star
    mask[:, 170] = True  # a column, through a star's core
    mask[200:, :] = True  # where no frame was
    image[mask] = np.nan
    noise = np.where(mask, np.float32(np.inf), np.float32(1)) if noise_map else 1.0
    assert _found(extract(image, 5.0, noise=noise, mask=mask, deblend_cont=1e-4, clean=False)).all()


def test_the_template_of_a_halo_shows_its_stars_beside_hot_pixels(rng: np.random.Generator) -> None:
    image = _halo(rng)
    hot = rng.integers(5, 295, (200, 2))
    hot = hot[np.hypot(*(hot[:, None] - STARS).transpose(2, 0, 1)).min(axis=1) > 4]
    image[hot[:, 1], hot[:, 0]] += 10 ** rng.uniform(2, 3.5, len(hot))
    assert _found(detect_sources(Stack.of_frame(image), fwhm=2.8)).all()


def test_a_cluster_of_masked_pixels_is_no_star(rng: np.random.Generator) -> None:
    """Charge that leaks beyond a masked cluster of hot pixels is filled in, and no detection has its core there."""
    image, mask = rng.normal(0, 1, (100, 100)).astype(np.float32), np.zeros((100, 100), np.bool_)
    mask[48:53, 48:53] = True
    image[47:54, 47:54] += 20
    image[48:53, 48:53] = np.nan
    assert len(extract(np.where(mask, 0, image), 5.0, noise=1.0)) > 0
    assert len(extract(image, 5.0, noise=1.0, mask=mask)) == 0
