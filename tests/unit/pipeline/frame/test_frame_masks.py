"""Each kind of bad pixel gets its own bit, and stars keep their pixels."""

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.detector_masks import Defects, find_defects
from pipeline.frame.frame_masks import mask_frame
from pipeline.frame.masked_pixels import PixelBit
from tests.unit.pipeline.star_fields import make_field


def _places(
    rng: np.random.Generator, number: int, xy: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns away from the stars and from each other."""
    y, x = (grid.ravel() for grid in np.mgrid[8:395:9, 8:395:9])
    far = np.hypot(x[:, None] - xy[:, 0], y[:, None] - xy[:, 1]).min(axis=1) > 15
    chosen = rng.permutation(np.flatnonzero(far))[:number]
    return y[chosen], x[chosen]


def test_hot_pixels_cosmic_rays_and_full_pixels_are_told_apart(rng: np.random.Generator) -> None:
    field = make_field(rng, (400, 400), stars=80)
    y, x = _places(rng, 120, field.xy)
    field.image[y, x] += rng.uniform(15, 80, y.size) * field.rms
    flat = y * 400 + x
    known, rays = np.sort(flat[:50]), flat[50:100]
    dead = np.array([17, 4000])
    masks = mask_frame(
        field.image,
        field.rms,
        exposure=30.0,
        defects=Defects(dead, known, np.zeros(known.size, np.float32)),
        saturated=np.sort(flat[100:]),
        nonlinear=np.flatnonzero(field.image > 100 * field.rms),
    )
    bits = masks.bits.ravel()
    assert (bits[known] == PixelBit.BAD).mean() > 0.95
    assert (bits[rays] == PixelBit.COSMIC).mean() > 0.95
    assert (bits[flat[100:]] & PixelBit.SATURATED).all()
    assert not (bits[flat[100:]] & PixelBit.COSMIC).any()
    assert (bits[dead] == PixelBit.BAD).all()
    assert masks.count(PixelBit.COSMIC) < 55
    assert np.array_equal(np.isnan(field.image), masks.bits & PixelBit.BAD > 0)  # rays keep their values
    assert masks.count(PixelBit.NONLINEAR) > 0
    assert masks.trails == 0
    near = np.hypot(masks.stars["x"][:, None] - field.xy[:, 0], masks.stars["y"][:, None] - field.xy[:, 1]).min(axis=0)
    assert np.mean(near < 1) > 0.9


def test_under_a_trail_values_stay_and_no_stars_are_listed(rng: np.random.Generator) -> None:
    field = make_field(rng, (400, 400), stars=60)
    y, x = np.indices(field.image.shape)
    across = (y - 200) * np.cos(0.5) - (x - 200) * np.sin(0.5)
    trail = 60 * field.rms * np.exp(-0.5 * (across / 1.1) ** 2)
    image = (field.image + trail).astype(np.float32)
    before = image.copy()
    masks = mask_frame(image, field.rms, exposure=30.0, defects=find_defects())
    on = (masks.bits & PixelBit.TRAIL) > 0
    assert masks.trails == 1
    assert on[np.abs(across) < 3].mean() > 0.98
    assert on[np.abs(across) > 12].mean() == 0
    kept = np.isfinite(image)
    assert kept[on].mean() > 0.98
    assert np.array_equal(image[kept], before[kept])
    column, row = np.rint(masks.stars["x"]).astype(int), np.rint(masks.stars["y"]).astype(int)
    assert not on[row, column].any()
    assert len(masks.stars) > 45
